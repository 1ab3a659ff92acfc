package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// lists are those of /api/admin, each with every order and every filter that it has, and the single objects that take
// counting or joining.
func (w *world) lists() []list {
	all := w.userLists()
	for _, part := range [][]list{w.organizationLists(), w.applicationLists(), w.auditLists(), w.objects()} {
		all = append(all, part...)
	}
	return all
}

// always is a request that is the same each time.
func always(path string) func(int) string { return func(int) string { return path } }

// filtered is a list with a parameter whose value differs from request to request.
func filtered(path, parameter string, value func(i int) string) func(int) string {
	return func(i int) string { return path + "?" + parameter + "=" + url.QueryEscape(value(i)) }
}

func (w *world) userLists() []list {
	var lists []list
	add := func(query string) {
		lists = append(lists, list{"users " + query, always(strings.TrimSuffix("/users?"+query, "?")), w.userSearch})
	}
	add("")
	for _, sort := range []string{"createdAt", "-createdAt", "email", "-email", "name", "-name"} {
		add("sort=" + sort)
	}
	for _, filter := range []string{"role=user", "role=admin", "role=superadmin", "disabled=true", "disabled=false", "role=user&disabled=false", "role=user&disabled=true", "role=admin&disabled=true"} {
		for _, sort := range []string{"", "&sort=email", "&sort=name"} {
			add(filter + sort)
		}
	}
	for _, sort := range []string{"", "&sort=email", "&sort=name"} {
		few := func(i int) string { return w.organization(w.pick(chooseOther, i, w.organizations)) }
		lists = append(lists,
			list{"users organizationId=biggest" + sort, always("/users?organizationId=" + w.organization(0) + sort), w.userSearch},
			list{"users organizationId=any" + sort, after(filtered("/users", "organizationId", few), sort), w.userSearch},
			list{"users applicationId=biggest" + sort, always("/users?applicationId=" + w.application(0) + sort), w.userSearch},
			list{"users applicationId=smallest" + sort, always("/users?applicationId=" + w.application(w.applications-1) + sort), w.userSearch},
			list{"users applicationId=any" + sort, after(filtered("/users", "applicationId", func(i int) string { return w.application(i % w.applications) }), sort), w.userSearch})
	}
	return append(lists,
		list{"users search=nobody", filtered("/users", "search", func(i int) string { return fmt.Sprintf("nobody%d", i) }), nil},
		list{"users search=one letter", filtered("/users", "search", func(i int) string { return string(rune('a' + i%26)) }), nil},
		list{"users search=id", filtered("/users", "search", func(i int) string { return w.user(i * 997) }), nil},
		list{"users search=one letter, sort=name", after(filtered("/users", "search", func(i int) string { return string(rune('a' + i%26)) }), "&sort=name"), nil})
}

// after adds what is the same in each request.
func after(path func(int) string, more string) func(int) string {
	return func(i int) string { return path(i) + more }
}

// userSearch begins a name or an address, as somebody types it.
func (w *world) userSearch(i int) string {
	name, address := w.person(i * 997)
	switch i % 4 {
	case 0:
		return name
	case 1:
		return address
	case 2:
		return name[:strings.IndexByte(name, ' ')]
	}
	return w.email(i * 997 % w.users)
}

func (w *world) organizationLists() []list {
	name := func(i int) string {
		name, _ := w.company(kindOrganization, i*97%w.organizations)
		return name[:len(name)/2]
	}
	var lists []list
	for _, sort := range []string{"", "?sort=createdAt", "?sort=name", "?sort=-name", "?sort=slug"} {
		lists = append(lists, list{"organizations " + strings.TrimPrefix(sort, "?"), always("/organizations" + sort), name})
	}
	biggest := "/organizations/" + w.organization(0)
	any := func(i int) string { return "/organizations/" + w.organization(w.pick(chooseOther, i, w.organizations)) }
	for _, query := range []string{"", "?role=owner", "?role=admin", "?role=member"} {
		lists = append(lists, list{"members of the biggest " + strings.TrimPrefix(query, "?"), always(biggest + "/members" + query), w.userSearch})
	}
	return append(lists,
		list{"members of any", func(i int) string { return any(i) + "/members" }, w.userSearch},
		list{"invitations of the biggest", always(biggest + "/invitations"), w.userSearch},
		list{"invitations of the biggest status=pending", always(biggest + "/invitations?status=pending"), nil},
		list{"invitations of any", func(i int) string { return any(i) + "/invitations" }, nil})
}

func (w *world) applicationLists() []list {
	name := func(i int) string {
		name, _ := w.company(kindApplication, i%w.applications)
		return name[1 : len(name)-1]
	}
	var lists []list
	for _, query := range []string{"", "sort=createdAt", "sort=name", "sort=-name", "sort=updatedAt", "type=web", "type=m2m", "type=m2m&sort=name"} {
		lists = append(lists, list{"applications " + query, always(strings.TrimSuffix("/applications?"+query, "?")), name})
	}
	for _, part := range []string{"clients", "permissions", "roles", "plans"} {
		any := func(i int) string { return "/applications/" + w.application(i%w.applications) + "/" + part }
		lists = append(lists, list{part + " of any application", any, nil})
	}
	return lists
}

func (w *world) auditLists() []list {
	event := func(i int) int { return w.pick(chooseOther, i, w.events) }
	organization := func(i int) string { return w.organization(w.popular(chooseOther, i, w.organizations)) }
	lists := []list{
		{"audit", always("/audit"), nil},
		{"audit actorId=any", filtered("/audit", "actorId", w.user), nil},
		{"audit targetId=any", filtered("/audit", "targetId", func(i int) string { return w.event(event(i)).TargetID }), nil},
		{"audit applicationId=any", filtered("/audit", "applicationId", func(i int) string { return w.application(i % w.applications) }), nil},
		{"audit organizationId=any", filtered("/audit", "organizationId", organization), nil},
	}
	for _, query := range []string{
		"actorType=user", "actorType=client", "actorType=system", "action=session.create", "action=organization.update", "action=session.", "action=user.", "action=user.up", "targetType=session", "targetType=client",
		"applicationId=" + w.application(0), "organizationId=" + w.organization(0), "actorId=" + w.user(w.pick(chooseOther, 0, 3)),
		"actorType=user&action=session.create", "actorType=system&targetType=user", "actorType=user&targetType=client", "actorType=client&action=session.create", "actorId=" + w.user(w.pick(chooseOther, 0, 3)) + "&action=organization.update",
	} {
		name, value, _ := strings.Cut(query, "=")
		if len(value) > 30 && !strings.Contains(value, "&") {
			value = "busiest"
		}
		lists = append(lists, list{"audit " + name + "=" + value, always("/audit?" + query), nil})
	}
	days := func(from, to int) func(int) string {
		return func(i int) string {
			at := w.at(w.pick(chooseOther, i, w.events*9/10), w.events)
			return "/audit?from=" + at.AddDate(0, 0, -from).Format(time.RFC3339) + "&to=" + at.AddDate(0, 0, to).Format(time.RFC3339)
		}
	}
	return append(lists,
		list{"audit of one day", days(0, 1), nil}, list{"audit of a year", days(300, 65), nil},
		list{"audit of a month, action=organization.update", after(days(0, 30), "&action=organization.update"), nil},
		list{"audit of a month, applicationId=busiest", after(days(0, 30), "&applicationId="+w.application(0)), nil})
}

func (w *world) objects() []list {
	user := func(i int) string { return "/users/" + w.user(i*997) }
	organization := func(i int) string { return "/organizations/" + w.organization(i*97%w.organizations) }
	popular := func(i int) string { return w.application(w.popular(chooseOther, i, w.applications)) }
	const fewest = 6 // resources that every application has permissions for
	return []list{
		{"one user", user, nil},
		{"sessions of a user", func(i int) string { return "/users/" + w.user(w.signedIn(i)) + "/sessions" }, nil},
		{"organizations of a user", func(i int) string { return user(i) + "/organizations" }, nil},
		{"roles of a user", func(i int) string { return user(i) + "/applications/" + popular(i) + "/roles" }, nil},
		{"plan of a user", func(i int) string { return user(i) + "/applications/" + popular(i) + "/plan" }, nil},
		{"permission of a user explained", func(i int) string {
			return user(i) + "/applications/" + popular(i) + "/explain?permission=" + resources[i%fewest] + ":read"
		}, nil},
		{"feature of a user explained", func(i int) string { return user(i) + "/applications/" + popular(i) + "/explain?feature=seats" }, nil},
		{"one organization", organization, nil},
		{"the biggest organization", always("/organizations/" + w.organization(0)), nil},
		{"plan of an organization", func(i int) string { return organization(i) + "/applications/" + popular(i) + "/plan" }, nil},
		{"one application", func(i int) string { return "/applications/" + w.application(i%w.applications) }, nil},
		{"the biggest application", always("/applications/" + w.application(0)), nil},
		{"application by client_id", func(i int) string { return "/applications/" + w.client(i%w.applications, 0) }, nil},
		{"statistics of a month", always("/stats"), nil},
		{"statistics of a year", always("/stats?from=" + w.now.AddDate(-1, 0, 0).Format(time.DateOnly)), nil},
		{"statistics of an application, a year", func(i int) string {
			return "/stats?from=" + w.now.AddDate(-1, 0, 0).Format(time.DateOnly) + "&applicationId=" + w.application(i%w.busy())
		}, nil},
	}
}
