package admin

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"auth-service/store"
)

// What happens to something.
const (
	PolicyAdds    = '+'
	PolicyChanges = '~'
	PolicyDeletes = '-'
)

// A PolicyDiff is what a policy changes, application by application.
type PolicyDiff struct{ Changes []PolicyChange }

// A PolicyChange is what happens to one application, client, permission, role or plan.
type PolicyChange struct {
	Application string // its slug
	Kind        rune   // PolicyAdds, PolicyChanges or PolicyDeletes
	Noun, Key   string
	// Fields are the properties that change, or all of something new: "features.seats 5 → 10".
	Fields []string
	// Note is what else is lost with what is deleted.
	Note string
}

// Count returns how many things are added, changed or deleted.
func (d *PolicyDiff) Count(kind rune) int {
	n := 0
	for i := range d.Changes {
		if d.Changes[i].Kind == kind {
			n++
		}
	}
	return n
}

func (d *PolicyDiff) equal(other *PolicyDiff) bool {
	return reflect.DeepEqual(d.Changes, other.Changes)
}

// Lines are the change in words: one line, or one for each field of what was there before and goes on.
func (c *PolicyChange) Lines() []string {
	head := string(c.Kind) + " " + c.Noun + " " + c.Key
	switch {
	case c.Kind == PolicyChanges:
		lines := make([]string, len(c.Fields))
		for i, field := range c.Fields {
			lines[i] = head + ": " + field
		}
		return lines
	case c.Note != "":
		return []string{head + " (" + c.Note + ")"}
	}
	return []string{head}
}

// A part is one thing of a definition, with its properties by their names.
type part struct {
	noun, key  string
	properties map[string]any
}

// bare is a value that is shown without quotation marks.
type bare string

// parts takes a definition apart, in the order in which a difference is shown. Of an application that was not there until now,
// the first client says nothing that the application does not.
func parts(d *store.Definition, isNew bool) []part {
	document := documentOf(d)
	whole := properties(document)
	for _, name := range []string{"slug", "clientId", "clients", "permissions", "roles", "plans"} {
		delete(whole, name)
	}
	out := []part{{"application", d.Slug, whole}}
	add := func(noun, identity string, document any) {
		all := properties(document)
		key, _ := all[identity].(string)
		delete(all, identity)
		out = append(out, part{noun, key, all})
	}
	clients := document.Clients
	if isNew {
		clients = clients[1:]
	}
	for _, c := range clients {
		add("client", "clientId", c)
	}
	for _, p := range document.Permissions {
		add("permission", "key", p)
	}
	for _, r := range document.Roles {
		add("role", "key", r)
	}
	for _, p := range document.Plans {
		add("plan", "key", p)
		out[len(out)-1].properties["features"] = featuresByKey(p.Features)
	}
	return out
}

func featuresByKey(features []Feature) map[string]any {
	out := map[string]any{}
	for _, f := range features {
		words := []string{string(f.Value.RawMessage)}
		if string(f.Value.RawMessage) == "null" {
			words = []string{"unlimited"}
		}
		if f.Type == store.FeatureQuota {
			words = append(words, "in", "all")
			if f.Period != "" {
				words = append(words[:1], "per", f.Period)
			}
			if f.Hard {
				words = append(words, "at", "most")
			}
			words = append(words, thresholdsInWords(f.Thresholds)...)
		}
		out[f.Key] = bare(strings.Join(words, " "))
	}
	return out
}

// thresholdsInWords says nothing about the usual ones.
func thresholdsInWords(percentages []int) []string {
	switch {
	case percentages == nil:
		return nil
	case len(percentages) == 0:
		return []string{"without", "thresholds"}
	}
	words := []string{"told", "at"}
	for _, percent := range percentages {
		words = append(words, strconv.Itoa(percent)+"%")
	}
	return words
}

// difference compares definitions, which have the same order. notes are by application, noun and key.
func difference(before, after []store.Definition, notes map[[3]string]string) *PolicyDiff {
	d := &PolicyDiff{}
	for i := range after {
		slug := after[i].Slug
		var was []part
		at := slices.IndexFunc(before, func(b store.Definition) bool { return b.ID == after[i].ID })
		if at >= 0 {
			was = parts(&before[at], false)
		}
		for _, c := range comparedParts(was, parts(&after[i], at < 0)) {
			c.Application, c.Note = slug, notes[[3]string{slug, c.Noun, c.Key}]
			d.Changes = append(d.Changes, c)
		}
	}
	return d
}

// comparedParts returns what differs: noun by noun what is new or other, in the order of is, and then what is gone.
func comparedParts(was, is []part) []PolicyChange {
	var out []PolicyChange
	for _, noun := range []string{"application", "client", "permission", "role", "plan"} {
		until := map[string]map[string]any{}
		for _, p := range was {
			if p.noun == noun {
				until[p.key] = p.properties
			}
		}
		for _, p := range is {
			if p.noun != noun {
				continue
			}
			kind, fields := PolicyChanges, differences("", until[p.key], p.properties)
			if until[p.key] == nil {
				kind = PolicyAdds
			}
			delete(until, p.key)
			if kind == PolicyAdds || len(fields) > 0 {
				out = append(out, PolicyChange{Kind: kind, Noun: noun, Key: p.key, Fields: fields})
			}
		}
		for _, key := range slices.Sorted(maps.Keys(until)) {
			out = append(out, PolicyChange{Kind: PolicyDeletes, Noun: noun, Key: key})
		}
	}
	return out
}

// differences says how the properties of two objects differ, in the order of their names.
func differences(path string, was, is map[string]any) []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(was)), maps.Keys(is))
	slices.Sort(names)
	var out []string
	for _, name := range slices.Compact(names) {
		before, after := was[name], is[name]
		if reflect.DeepEqual(before, after) {
			continue
		}
		beforeObject, fromObject := before.(map[string]any)
		afterObject, toObject := after.(map[string]any)
		if fromObject && toObject {
			out = append(out, differences(path+name+".", beforeObject, afterObject)...)
		} else {
			out = append(out, path+name+" "+changedValue(before, after))
		}
	}
	return out
}

// changedValue says how a value differs. Of a list it says what came and what went, unless only the order is another.
func changedValue(before, after any) string {
	was, fromList := before.([]any)
	is, toList := after.([]any)
	if fromList && toList {
		var words []string
		for _, item := range itemsWithout(is, was) {
			words = append(words, "+ "+valueShown(item))
		}
		for _, item := range itemsWithout(was, is) {
			words = append(words, "- "+valueShown(item))
		}
		if len(words) > 0 {
			return strings.Join(words, ", ")
		}
	}
	return valueShown(before) + " → " + valueShown(after)
}

// itemsWithout returns the items that are not among the others.
func itemsWithout(items, others []any) []any {
	return slices.DeleteFunc(slices.Clone(items), func(item any) bool {
		return slices.ContainsFunc(others, func(other any) bool { return reflect.DeepEqual(item, other) })
	})
}

func valueShown(value any) string {
	switch value := value.(type) {
	case nil:
		return "none"
	case bare:
		return string(value)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // it came from JSON
	}
	return strings.TrimSpace(out.String())
}
