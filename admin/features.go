package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

// Limits of what is stored for one plan, and for the overrides of one subscription.
const (
	maxFeatures    = 200
	maxFeatureText = 500
	// maxFeatureBytes is how long the keys and values may be together, as the JSON that every token holds.
	maxFeatureBytes = 4 << 10
	// maxThresholds is how many a quota has at most, and maxThreshold how far beyond its limit one can be, in percent.
	maxThresholds = 10
	maxThreshold  = 1000
)

const (
	switchFault   = "This must be true or false."
	onlyQuota     = "Only a quota has this: remove it, or use the type quota."
	numberFault   = "Use a number from 0 to " + maxDecimal + " with up to six decimals, or null for no limit."
	noMemberFault = "This field is not known here."
)

var (
	featureTypes = []string{store.FeatureBoolean, store.FeatureLimit, store.FeatureQuota, store.FeatureString}
	quotaPeriods = []string{store.PeriodDay, store.PeriodMonth, store.PeriodYear}
)

// A FeatureSet is what a request says about features, as it was sent: a list, or a map from keys to values. The zero value
// says nothing, and null says "none". It stays raw until it is read, so that no number is rounded and every fault has its path.
type FeatureSet struct{ json.RawMessage }

// Schema leaves the inside to proposals, which knows where a fault is.
func (FeatureSet) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeArray, Items: &huma.Schema{}, Nullable: true},
		{Type: huma.TypeObject, AdditionalProperties: true},
	}}
}

// A FeatureValue is true or false, a number as exact as it was sent, null for "no limit", or text.
type FeatureValue struct{ json.RawMessage }

// Schema is that of each of the four.
func (FeatureValue) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeBoolean}, {Type: huma.TypeNumber, Nullable: true}, {Type: huma.TypeString}}}
}

// A Feature is what a plan says about one thing that the application sells.
type Feature struct {
	Key    string       `json:"key"`
	Type   string       `json:"type" enum:"boolean,limit,quota,string"`
	Value  FeatureValue `json:"value" doc:"For limits and quotas a number; null is no limit."`
	Period string       `json:"period,omitempty" enum:"day,month,year" doc:"When a quota begins anew; without it, never."`
	Hard   bool         `json:"hard,omitempty" doc:"The quota refuses what would exceed it."`
	// An empty list is not an absent one, so omitempty would not do.
	Thresholds []int `json:"thresholds,omitzero" minimum:"1" maximum:"1000" maxItems:"10" nullable:"false" doc:"Percentages of a quota's limit at which the webhook is called, once a period; without it 80 and 100, and none for an empty list."`
}

func showFeature(f *store.Feature) Feature {
	return Feature{Key: f.Key, Type: f.Type, Value: FeatureValue{f.Value}, Period: f.Period, Hard: f.Hard, Thresholds: f.Thresholds}
}

func showFeatures(features []store.Feature) []Feature {
	out := make([]Feature, len(features))
	for i := range features {
		out[i] = showFeature(&features[i])
	}
	return out
}

// features reads those of a plan, sorted by key.
func (f faults) features(field string, set FeatureSet) []store.Feature {
	return f.sorted(field, f.proposals(field, set), func(p *proposal) {
		if p.bare && p.Type == "" {
			f.add(p.path, "It is not clear what null stands for: send the list form, with a type.")
		}
	})
}

// overrides reads those of a subscription, sorted by key. Where the plan has the feature they are of its type: in the map
// form they become so, and with it comes what else makes up a quota.
func (f faults) overrides(field string, set FeatureSet, plan []store.Feature) []store.Feature {
	byKey := map[string]*store.Feature{}
	for i := range plan {
		byKey[plan[i].Key] = &plan[i]
	}
	return f.sorted(field, f.proposals(field, set), func(p *proposal) {
		own := byKey[p.Key]
		switch {
		case own == nil && p.bare && p.Type == "":
			f.add(p.path, "The plan does not have this feature, so it is not clear what null stands for: send the list form, with a type.")
		case own == nil || own.Type == p.Type:
		case p.bare && numeric(own.Type) && (p.Type == "" || numeric(p.Type)):
			p.Type, p.Period, p.Hard, p.Thresholds = own.Type, own.Period, own.Hard, own.Thresholds
		case p.bare:
			f.add(p.path, fmt.Sprintf("In the plan this feature is of type %s: send a value of that type.", own.Type))
		default:
			f.add(p.path+".type", fmt.Sprintf("In the plan this feature is of type %s: use the same here.", own.Type))
		}
	})
}

func numeric(kind string) bool { return kind == store.FeatureLimit || kind == store.FeatureQuota }

// sorted settles each proposal and returns the features in the order of their keys, unless they are more than a token holds.
func (f faults) sorted(field string, proposals []proposal, settle func(*proposal)) []store.Feature {
	out := make([]store.Feature, len(proposals))
	for i := range proposals {
		settle(&proposals[i])
		out[i] = proposals[i].Feature
	}
	slices.SortFunc(out, func(a, b store.Feature) int { return cmp.Compare(a.Key, b.Key) })
	if size := len(store.FeatureValues(out)); size > maxFeatureBytes {
		f.add(field, fmt.Sprintf("Keys and values are %d bytes of JSON, and %d at most are possible: every token holds them.", size, maxFeatureBytes))
	}
	return out
}

// A proposal is a feature as a request put it.
type proposal struct {
	store.Feature
	path string
	bare bool // from the map form, which has only a value: the type is guessed by it, and empty for null
}

// proposals takes either form apart and checks all that can be known without a plan.
func (f faults) proposals(field string, set FeatureSet) []proposal {
	text := bytes.TrimSpace(set.RawMessage)
	if len(text) == 0 || string(text) == "null" {
		return nil
	}
	var out []proposal
	switch entries := members(text); {
	case !json.Valid(text) || text[0] != '[' && text[0] != '{':
		f.add(field, "Send a list of features, or an object with the value of each.")
	case len(entries) > maxFeatures:
		f.add(field, fmt.Sprintf("There are %d features, and %d at most are possible.", len(entries), maxFeatures))
	case text[0] == '[':
		for i, entry := range entries {
			path := fmt.Sprintf("%s[%d]", field, i)
			if entry.value[0] != '{' {
				f.add(path, "This must be an object with key, type and value.")
				continue
			}
			out = append(out, f.listed(path, members(entry.value)))
		}
	default:
		for _, entry := range entries {
			out = append(out, f.mapped(field, entry))
		}
	}
	f.keys(out)
	return out
}

// keys checks that each key can be one and comes once.
func (f faults) keys(proposals []proposal) {
	seen := map[string]bool{}
	for i := range proposals {
		p, path := &proposals[i], proposals[i].path
		if !p.bare {
			path += ".key"
		}
		f.add(path, keyFault(p.Key))
		if seen[p.Key] {
			f.add(path, "This key comes twice: remove one.")
		}
		seen[p.Key] = true
	}
}

// A member is a value of a JSON object with its name, or of an array.
type member struct {
	name  string
	value json.RawMessage
}

// members takes a valid array or object apart, in its order and with names that come twice.
func members(text []byte) []member {
	decoder := json.NewDecoder(bytes.NewReader(text))
	opening, err := decoder.Token()
	if err != nil || opening != json.Delim('[') && opening != json.Delim('{') {
		return nil
	}
	var out []member
	for decoder.More() {
		var m member
		if opening == json.Delim('{') {
			name, err := decoder.Token()
			if err != nil {
				return nil
			}
			m.name, _ = name.(string)
		}
		if err := decoder.Decode(&m.value); err != nil {
			return nil
		}
		out = append(out, m)
	}
	return out
}

// mapped reads a feature of the map form.
func (f faults) mapped(field string, m member) proposal {
	p := proposal{Feature: store.Feature{Key: m.name, Type: guess(m.value)}, path: field + "." + storable(m.name), bare: true}
	switch {
	case p.Type != "":
		f.add(p.path, p.take(m.value))
	case string(m.value) == "null":
		p.Value = m.value
	default:
		f.add(p.path, "This must be true, false, a number or text. What else there is to say takes the list form.")
	}
	return p
}

// guess tells the type of a feature by its value; empty when the value does not tell.
func guess(value json.RawMessage) string {
	switch value[0] {
	case 't', 'f':
		return store.FeatureBoolean
	case '"':
		return store.FeatureString
	case 'n', '[', '{':
		return ""
	}
	return store.FeatureLimit
}

// listed reads a feature of the list form.
func (f faults) listed(path string, all []member) proposal {
	p, values := proposal{path: path}, f.distinct(path, all)
	for _, required := range []string{"key", "type", "value"} {
		if values[required] == nil {
			f.add(path+"."+required, "This field is required.")
		}
	}
	f.text(path+".key", values["key"], &p.Key)
	f.text(path+".type", values["type"], &p.Type)
	f.oneOf(path+".type", p.Type, featureTypes...)
	if value := values["value"]; value != nil && slices.Contains(featureTypes, p.Type) {
		f.add(path+".value", p.take(value))
	}
	f.quota(&p, values["period"], values["hard"])
	f.thresholds(&p, values["thresholds"])
	return p
}

// distinct returns the members by name, and faults those that there are not or that come twice.
func (f faults) distinct(path string, all []member) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for _, m := range all {
		switch path := path + "." + storable(m.name); {
		case !slices.Contains([]string{"key", "type", "value", "period", "hard", "thresholds"}, m.name):
			f.add(path, noMemberFault)
		case out[m.name] != nil:
			f.add(path, "This comes twice: remove one.")
		}
		out[m.name] = m.value
	}
	return out
}

func (f faults) text(path string, value json.RawMessage, out *string) {
	if value != nil && (value[0] != '"' || json.Unmarshal(value, out) != nil) {
		f.add(path, "This must be text.")
	}
}

// quota reads what only a quota has. Where there is nothing to read, null and false say the same.
func (f faults) quota(p *proposal, period, hard json.RawMessage) {
	if period != nil && string(period) != "null" {
		f.text(p.path+".period", period, &p.Period)
		f.oneOf(p.path+".period", p.Period, quotaPeriods...)
	}
	if hard != nil && string(hard) != "null" {
		p.Hard = string(hard) == "true"
		if !p.Hard && string(hard) != "false" {
			f.add(p.path+".hard", switchFault)
		}
	}
	if p.Type == store.FeatureQuota || !slices.Contains(featureTypes, p.Type) {
		return
	}
	if p.Period != "" {
		f.add(p.path+".period", onlyQuota)
	}
	if p.Hard {
		f.add(p.path+".hard", onlyQuota)
	}
}

// thresholds reads the percentages at which a quota tells, in whatever order they were sent. Null stands for the usual ones.
func (f faults) thresholds(p *proposal, list json.RawMessage) {
	if list == nil || string(list) == "null" {
		return
	}
	path, entries := p.path+".thresholds", members(list)
	switch {
	case p.Type != store.FeatureQuota && slices.Contains(featureTypes, p.Type):
		f.add(path, onlyQuota)
		return
	case list[0] != '[':
		f.add(path, "This must be a list of percentages, such as [80, 100].")
		return
	case len(entries) > maxThresholds:
		f.add(path, fmt.Sprintf("There are %d thresholds, and %d at most are possible.", len(entries), maxThresholds))
		return
	}
	p.Thresholds = []int{}
	for i, entry := range entries {
		at := fmt.Sprintf("%s[%d]", path, i)
		exact, _ := decimal(string(entry.value))
		percent, err := strconv.Atoi(exact)
		switch {
		case err != nil || percent < 1 || percent > maxThreshold:
			f.add(at, fmt.Sprintf("Use a whole number of percent from 1 to %d.", maxThreshold))
		case slices.Contains(p.Thresholds, percent):
			f.add(at, "This threshold comes twice: remove one.")
		default:
			p.Thresholds = append(p.Thresholds, percent)
		}
	}
	slices.Sort(p.Thresholds)
}

// take checks the value by the type and keeps it in the one way to write it. It returns what is wrong.
func (p *proposal) take(value json.RawMessage) string {
	switch p.Type {
	case store.FeatureBoolean:
		if value[0] != 't' && value[0] != 'f' {
			return switchFault
		}
	case store.FeatureString:
		var text string
		if value[0] != '"' || json.Unmarshal(value, &text) != nil {
			return "This must be text."
		}
		if length := utf8.RuneCountInString(text); length > maxFeatureText {
			return fmt.Sprintf("The text has %d characters, and %d at most are possible.", length, maxFeatureText)
		}
		if !store.Printable(text) {
			return "The text has invisible control characters: remove them."
		}
		value, _ = json.Marshal(text) // never fails; escapes that stand for nothing are gone
	default:
		if string(value) == "null" {
			break
		}
		exact, ok := decimal(string(value))
		if !ok {
			return numberFault
		}
		value = json.RawMessage(exact)
	}
	p.Value = value
	return ""
}
