package main

import (
	"fmt"
	"strings"
	"time"

	"auth-service/store"
)

func (w *world) organizationTable() table {
	columns := strings.Fields("id slug name logo metadata created_at updated_at")
	return table{"organizations", columns, rows(w.organizations, func(k int) []any {
		name, slug := w.company(kindOrganization, k)
		at := w.at(k, w.organizations)
		return []any{w.organization(k), slug, name, "", `{"crm":"` + slug + `"}`, at, at}
	})}
}

// memberTable gives each organization an owner and one administrator for twenty members.
func (w *world) memberTable() table {
	columns := strings.Fields("id organization_id user_id role created_at updated_at")
	return table{"members", columns, nested(w.organizations, w.members, func(k, j int) []any {
		const most = 1 << 20
		role := store.MemberPlain
		switch {
		case j == 0:
			role = store.MemberOwner
		case j%20 == 1:
			role = store.MemberAdmin
		}
		founded := w.at(k, w.organizations)
		joined := founded.Add(w.now.Sub(founded) / time.Duration(w.members(k)) * time.Duration(j))
		return []any{w.id(kindMember, k*most+j, w.organizations*most), w.organization(k), w.user(w.member(k, j)), role, joined, joined}
	})}
}

// invitationTable has more invitations for the bigger organizations; most are pending.
func (w *world) invitationTable() table {
	columns := strings.Fields("id organization_id email role status inviter_id created_at updated_at expires_at")
	return table{"invitations", columns, rows(w.invitations, func(i int) []any {
		k := w.popular(kindInvitation, i, w.organizations)
		sent := w.now.Add(-time.Duration(w.pick(kindInvitation, i, int(7*day/time.Second))) * time.Second)
		status := [...]string{store.InvitationPending, store.InvitationPending, store.InvitationPending, store.InvitationAccepted, store.InvitationCanceled}[i%5]
		id := fmt.Sprintf("%016x%016x", w.mix(kindInvitation, i), w.mix(chooseOther, i))
		const apart = 3 // so that no organization invites the same address twice
		return []any{id, w.organization(k), w.email(i * apart % w.users), store.MemberPlain, status, w.user(w.member(k, 0)), sent, sent, sent.Add(14 * day)}
	})}
}
