package admin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"

	"auth-service/problem"
	"auth-service/store"
)

var errSuperadmin = problem.New(http.StatusForbidden, "SUPERADMIN_REQUIRED", "Only a superadmin may give the scope admin or change a client that has it.")

// An Actor is who makes a change, with what they may do to applications and clients.
type Actor struct{ store.Actor }

// System is the actor behind the command line. It may do anything.
func System() Actor {
	return Actor{store.Actor{Type: store.ActorSystem, Administrator: true, Superadmin: true}}
}

// mayChange refuses clients with the scope admin to all but superadmins. Whoever sets such a client's secret or redirect
// URIs gets its tokens, among them those of a superadmin who signs in through it, and so climbs the ladder of roles.
func (a Actor) mayChange(clients ...store.Client) error {
	for i := range clients {
		if !a.Superadmin && slices.Contains(clients[i].Scopes, scopeAdmin) {
			return errSuperadmin
		}
	}
	return nil
}

func (a Actor) event(action, targetType, targetID, applicationID string, changes map[string]store.Change) store.AuditEvent {
	e := a.Event(action, targetType, targetID)
	e.ApplicationID, e.Changes = applicationID, changes
	return e
}

// unaudited are properties whose change says nothing, or is told by an event of its own.
var unaudited = []string{"createdAt", "updatedAt", "clientCount", "secrets"}

// changes compares what the API shows of an object before and after; nil stands for no object. What the API shows has no secrets.
func changes(before, after any) map[string]store.Change {
	was, is := properties(before), properties(after)
	out := map[string]store.Change{}
	for name, value := range was {
		if !reflect.DeepEqual(value, is[name]) {
			out[name] = store.Change{Before: value, After: is[name]}
		}
	}
	for name, value := range is {
		if _, known := was[name]; !known && value != nil {
			out[name] = store.Change{After: value}
		}
	}
	return out
}

// properties returns an object as it is in JSON.
func properties(v any) map[string]any {
	out := map[string]any{}
	text, err := json.Marshal(v)
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber() // a float would make two large numbers equal that differ
		err = decoder.Decode(&out)
	}
	if err != nil {
		panic(err) // v is a wire type of this package, which always marshals
	}
	for _, name := range unaudited {
		delete(out, name)
	}
	return out
}
