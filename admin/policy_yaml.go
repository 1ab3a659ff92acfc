package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits of a policy file.
const (
	maxPolicy       = 4 << 20
	maxNesting      = 100
	maxPolicyFaults = 100 // that are reported
)

var (
	yamlFault  = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?(.+)$`)
	jsonNumber = regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$`)
	otherYAML  = regexp.MustCompile(`^(?:(?i:y|n|yes|no|on|off)|<<|=)$`) // text to our reader, but to others switches, merges and defaults
	// unlikeYAML is what text in JSON may have and YAML lacks or takes for the end of a line; with it come all other escapes,
	// lest the second half of one be taken for the beginning of another.
	unlikeYAML  = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\.|[\x7f\x{85}\x{2028}\x{2029}\x{feff}]`)
	pathElement = regexp.MustCompile(`^(?:\[([0-9]+)\]|\.?([^.\[]+))`)
)

// places is a file as JSON, with where each of its values was written.
type places struct {
	root *yaml.Node
	json []byte
	bad  []PolicyFault // what JSON cannot say
}

// readYAML reads a file of one document. What is no YAML at all is an *InvalidPolicy; what is no JSON is kept for later, so that
// it is reported together with the rest.
func readYAML(text []byte) (*places, error) {
	if len(text) > maxPolicy {
		return nil, unreadable(0, fmt.Sprintf("The file is larger than %d MiB: divide it.", maxPolicy>>20))
	}
	if json.Valid(text) {
		text = unlikeYAML.ReplaceAllFunc(text, asYAML)
	}
	var first, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&first); errors.Is(err, io.EOF) {
		return nil, unreadable(0, "The file is empty. Write applications: [] to say nothing.")
	} else if err != nil {
		return nil, notYAML(err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, unreadable(second.Line, "Here begins a second document, and a policy is one: put its applications into the first.")
	case !errors.Is(err, io.EOF):
		return nil, notYAML(err)
	}
	p := &places{root: first.Content[0]}
	c := converter{places: p}
	c.value(p.root)
	p.json = c.out.Bytes()
	return p, nil
}

// asYAML returns what is unlikeYAML in the way in which YAML has it, too.
func asYAML(text []byte) []byte {
	switch r, size := utf8.DecodeRune(text); {
	case r != '\\':
		return fmt.Appendf(nil, `\u%04x`, r)
	case size+1 < len(text), text[size] == '/':
		var character string
		if err := json.Unmarshal(slices.Concat([]byte{'"'}, text, []byte{'"'}), &character); err != nil {
			panic(err) // it is out of valid JSON
		}
		return []byte(character)
	}
	return text
}

func unreadable(line int, sentence string) error {
	return &InvalidPolicy{Faults: []PolicyFault{{Line: line, Sentence: sentence}}}
}

func notYAML(err error) error {
	parts := yamlFault.FindStringSubmatch(err.Error())
	if parts == nil {
		return fmt.Errorf("read the policy: %w", err)
	}
	line, _ := strconv.Atoi(parts[1]) // 0 when it is not said
	return unreadable(line, "This is not YAML: "+parts[2]+".")
}

// A converter writes YAML as JSON. It puts null in the place of what JSON does not have.
type converter struct {
	*places
	out  bytes.Buffer
	path []string
}

func (c *converter) fault(n *yaml.Node, sentence string) {
	c.out.WriteString("null")
	c.note(n, sentence)
}

func (c *converter) note(n *yaml.Node, sentence string) {
	if len(c.bad) <= maxPolicyFaults {
		c.bad = append(c.bad, PolicyFault{n.Line, strings.TrimPrefix(strings.Join(c.path, ""), "."), sentence})
	}
}

func (c *converter) value(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode: // never expanded: a few lines of aliases to aliases stand for gigabytes
		c.fault(n, "Aliases are not read: write the value out.")
	case n.Style&yaml.TaggedStyle != 0:
		c.fault(n, "Tags are not read: remove "+n.Tag+".")
	case len(c.path) > maxNesting:
		c.fault(n, fmt.Sprintf("This is nested more than %d levels deep.", maxNesting))
	case n.Kind == yaml.MappingNode:
		c.object(n)
	case n.Kind == yaml.SequenceNode:
		c.out.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				c.out.WriteByte(',')
			}
			c.inside("["+strconv.Itoa(i)+"]", item)
		}
		c.out.WriteByte(']')
	default:
		c.scalar(n)
	}
}

func (c *converter) inside(element string, n *yaml.Node) {
	c.path = append(c.path, element)
	c.value(n)
	c.path = c.path[:len(c.path)-1]
}

func (c *converter) object(n *yaml.Node) {
	c.out.WriteByte('{')
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.Style&yaml.TaggedStyle != 0 {
			c.note(name, "The name of a field is plain text.")
			continue
		}
		if line, twice := seen[name.Value]; twice {
			c.note(name, fmt.Sprintf("%q is already in line %d: remove one.", storable(name.Value), line))
			continue
		}
		if len(seen) > 0 {
			c.out.WriteByte(',')
		}
		seen[name.Value] = name.Line
		c.text(name.Value)
		c.out.WriteByte(':')
		c.inside("."+name.Value, value)
	}
	c.out.WriteByte('}')
}

func (c *converter) scalar(n *yaml.Node) {
	number := n.Style == 0 && jsonNumber.MatchString(n.Value)
	_, tooLarge := strconv.ParseFloat(n.Value, 64)
	switch {
	case n.Tag == "!!null":
		c.out.WriteString("null")
	case n.Tag == "!!bool":
		c.out.WriteString(strings.ToLower(n.Value))
	case number && tooLarge == nil:
		c.out.WriteString(n.Value)
	case number, n.Tag == "!!int", n.Tag == "!!float":
		// YAML takes a number that is too large for text, and some of its other ways to write one mean another than they
		// seem to: 010 is 8.
		c.fault(n, "Write a number in plain decimal digits, and what is no number in quotation marks.")
	default:
		c.text(n.Value) // also what YAML takes for a date
	}
}

func (c *converter) text(text string) {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	c.out.Write(quoted)
}

// invalid is all that is wrong, with where it is; nil when nothing is.
func (p *places) invalid(f faults) error {
	all := slices.Clone(p.bad)
	paths := slices.Sorted(maps.Keys(f))
	for _, path := range paths[:min(len(paths), maxPolicyFaults)] {
		if !slices.ContainsFunc(p.bad, func(b PolicyFault) bool { return b.Path == path }) { // null there is ours
			all = append(all, PolicyFault{p.line(path), path, f[path]})
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b PolicyFault) int { return cmp.Compare(a.Line, b.Line) })
	shown := all[:min(len(all), maxPolicyFaults)]
	return &InvalidPolicy{Faults: shown, More: len(all) > len(shown) || len(paths) > maxPolicyFaults}
}

// line is where the value at the path was written, or else the innermost one around it.
func (p *places) line(path string) int {
	n, line := p.root, p.root.Line
	for {
		element := pathElement.FindStringSubmatch(path)
		if element == nil {
			return line
		}
		next, at := yamlChild(n, element[1], element[2])
		if next == nil {
			return line
		}
		n, line, path = next, at, path[len(element[0]):]
	}
}

// yamlChild is the item with the index or the field with the name, whichever is given, and its line; nil when there is none.
func yamlChild(n *yaml.Node, index, name string) (*yaml.Node, int) {
	switch at, err := strconv.Atoi(index); {
	case n.Kind == yaml.SequenceNode && err == nil && at < len(n.Content):
		return n.Content[at], n.Content[at].Line
	case n.Kind == yaml.MappingNode && index == "":
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i+1], n.Content[i].Line
			}
		}
	}
	return nil, 0
}

// toYAML writes JSON as YAML, one value to a line but for those fields whose items are short.
func toYAML(text json.RawMessage, inLine ...string) *yaml.Node {
	switch text[0] {
	case '{':
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, m := range members(text) {
			value := toYAML(m.value, inLine...)
			if slices.Contains(inLine, m.name) {
				flow(value)
			}
			n.Content = append(n.Content, plainText(m.name), value)
		}
		return n
	case '[':
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, m := range members(text) {
			n.Content = append(n.Content, toYAML(m.value, inLine...))
		}
		return n
	case '"':
		var value string
		if err := json.Unmarshal(text, &value); err != nil {
			panic(err) // it was marshalled a moment ago
		}
		return plainText(value)
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: string(text)} // true, null or a number, which are the same in YAML
}

// flow writes an object in one line, and so each item of a list.
func flow(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		n.Style = yaml.FlowStyle
	}
	for _, item := range n.Content {
		if n.Kind == yaml.SequenceNode {
			flow(item)
		}
	}
}

// plainText is text that YAML takes for nothing else. Where it has line breaks and the like it is quoted: the block forms do
// not keep all of them.
func plainText(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if jsonNumber.MatchString(text) || otherYAML.MatchString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}
