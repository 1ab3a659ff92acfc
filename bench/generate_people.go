package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"auth-service/store"
)

const day = 24 * time.Hour

// passwordHash is as long as a real one, and nobody's: whoever is measured signs up.
var passwordHash = "$argon2id$v=19$m=19456,t=2,p=1$" + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 43)

var userAgents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
}

func (w *world) userAgent(i int) string { return userAgents[w.pick(chooseOther, i, len(userAgents))] }

func (w *world) ip(i int) string {
	n := w.mix(chooseOther, i)
	return fmt.Sprintf("203.%d.%d.%d", byte(n), byte(n>>8), byte(n>>16))
}

// userTable has one administrator among 5000 people and fifty disabled ones among a thousand, some only for a time.
func (w *world) userTable() table {
	columns := strings.Fields("id email email_verified name image role password_hash disabled_at disabled_until disabled_reason created_at updated_at")
	return table{"users", columns, rows(w.users, func(i int) []any {
		name, _ := w.person(i)
		created := w.at(i, w.users)
		role := store.RoleUser
		switch {
		case i < 3:
			role = store.RoleSuperadmin
		case i%5000 == 7:
			role = store.RoleAdmin
		}
		var disabledAt, disabledUntil *time.Time
		reason, since := "", created.Add(w.now.Sub(created)/2)
		if i%20 == 11 {
			disabledAt, reason = &since, "left the company"
		}
		if until := w.now.Add(30 * day); i%200 == 11 {
			disabledUntil = &until
		}
		return []any{w.user(i), w.email(i), i%10 != 0, name, "", role, passwordHash, disabledAt, disabledUntil, reason, created, since}
	})}
}

// sessionTable has the sessions of the last month, all of them alive.
func (w *world) sessionTable() table {
	columns := strings.Fields(`id secret_hash user_id auth_time acr amr remember user_agent ip active_organization_id created_at last_seen_at
		idle_expires_at expires_at ended_at end_reason`)
	return table{"sessions", columns, rows(w.sessions, func(i int) []any {
		created := w.now.Add(-time.Duration(w.pick(kindSession, i, int(30*day/time.Second))) * time.Second)
		return []any{w.session(i), store.HashSecret(w.session(i)), w.user(w.signedIn(i)), created, "1", `["pwd"]`, true, w.userAgent(i), w.ip(i), "",
			created, w.now.Add(-time.Hour), w.now.Add(7 * day), created.Add(90 * day), nil, ""}
	})}
}

func (w *world) session(i int) string { return w.id(kindSession, i, w.sessions) }

// signedIn is whose session the i-th is.
func (w *world) signedIn(i int) int { return w.pick(kindSession, i, w.users) }

// consentTable has the consents of each person to different clients, most of them to popular ones.
func (w *world) consentTable() table {
	columns := strings.Fields("user_id client_id scopes created_at updated_at")
	return table{"consents", columns, rows(w.consents, func(i int) []any {
		user := i % w.users
		a := (w.popular(choosePopular, user, w.applications) + i/w.users) % w.applications
		at := w.at(i, w.consents)
		return []any{w.user(user), w.client(a, 0), `["openid","profile","email","offline_access"]`, at, at}
	})}
}

// grantTable has live grants, one of five bound to a session, and a few that were revoked.
func (w *world) grantTable() table {
	columns := strings.Fields(`id client_id user_id session_id organization_id scopes audiences claims offline auth_time acr amr salt generation
		rotated_at created_at idle_expires_at expires_at revoked_at revoke_reason`)
	return table{"grants", columns, rows(w.grants, func(i int) []any {
		a := w.popular(kindGrant, i, w.applications)
		client := w.client(a, w.pick(kindGrant, i, min(w.clients(a), 2)))
		session, user, offline := w.pick(choosePopular, i, w.sessions), i, i%5 != 0
		if !offline {
			user = w.signedIn(session)
		}
		created := w.now.Add(-time.Duration(w.pick(kindGrant, i, int(80*day/time.Second))) * time.Second)
		var revoked *time.Time
		reason := ""
		if i%50 == 1 {
			revoked, reason = &w.now, store.ReasonConsentRemoved
		}
		return []any{w.id(kindGrant, i, w.grants), client, w.user(user), w.session(session), "", `["openid","profile","email","offline_access"]`, "[]", "{}",
			offline, created, "1", `["pwd"]`, store.HashSecret(client)[:16], w.pick(chooseSize, i, 40) + 1, w.now.Add(-2 * time.Hour), created,
			w.now.Add(20 * day), created.Add(90 * day), revoked, reason}
	})}
}

// eventTable is what people did themselves for the most part, and what administrators did to the rest.
func (w *world) eventTable() table {
	columns := strings.Fields(`id created_at actor_type actor_id action target_type target_id application_id organization_id ip user_agent
		request_id changes`)
	return table{"audit_events", columns, rows(w.events, func(i int) []any {
		e := w.event(i)
		request := base64.RawURLEncoding.EncodeToString(store.HashSecret(w.id(kindEvent, i, w.events))[:24])
		return []any{w.id(kindEvent, i, w.events), w.at(i, w.events), e.ActorType, e.ActorID, e.Action, e.TargetType, e.TargetID, e.ApplicationID,
			e.OrganizationID, w.ip(i), w.userAgent(i), request, `{"name":{"before":"Before","after":"After"}}`}
	})}
}

func (w *world) event(i int) store.AuditEvent {
	user, app, organization := w.user(w.pick(kindEvent, i, w.users)), w.popular(kindEvent, i, w.applications), w.popular(kindEvent, i, w.organizations)
	administrator := store.AuditEvent{ActorType: store.ActorUser, ActorID: w.user(w.pick(chooseOther, i, 3))}
	switch n := i % 100; {
	case n < 50:
		return store.AuditEvent{ActorType: store.ActorUser, ActorID: user, Action: "session.create", TargetType: "session", TargetID: w.session(i % w.sessions)}
	case n < 75:
		return store.AuditEvent{ActorType: store.ActorUser, ActorID: user, Action: "session.end", TargetType: "session", TargetID: w.session(i % w.sessions)}
	case n < 82:
		return store.AuditEvent{ActorType: store.ActorUser, ActorID: user, Action: "user.change_password", TargetType: "user", TargetID: user}
	case n < 88:
		return store.AuditEvent{ActorType: store.ActorSystem, Action: "sign_in.throttle", TargetType: "user", TargetID: user}
	case n < 92:
		administrator.Action, administrator.TargetType, administrator.TargetID = "user.update", "user", user
	case n < 94:
		administrator.Action, administrator.TargetType, administrator.TargetID = "organization.update", "organization", w.organization(organization)
		administrator.OrganizationID = w.organization(organization)
	case n < 97:
		administrator.Action, administrator.TargetType, administrator.TargetID = "application.update", "application", w.application(app)
		administrator.ApplicationID = w.application(app)
	default:
		client := w.client(app, 0)
		return store.AuditEvent{ActorType: store.ActorClient, ActorID: client, Action: "client.update", TargetType: "client", TargetID: client, ApplicationID: w.application(app)}
	}
	return administrator
}
