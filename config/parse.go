package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// leaf is one setting: the path of its key and the field that holds it.
type leaf struct {
	key   string
	field reflect.Value
}

// leavesOf lists every setting of c in the order of its declaration.
func leavesOf(c *Config) []leaf {
	return walk(reflect.ValueOf(c).Elem(), "")
}

func walk(v reflect.Value, prefix string) []leaf {
	var out []leaf
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("key")
		switch {
		case key == "": // Warnings
		case v.Field(i).Kind() == reflect.Struct:
			out = append(out, walk(v.Field(i), prefix+key+".")...)
		default:
			out = append(out, leaf{prefix + key, v.Field(i)})
		}
	}
	return out
}

// parse stores raw, which is a string from the environment or whatever YAML made of the file. Its errors do not repeat
// the value: it may be a secret on the wrong line.
func (f leaf) parse(raw any) error {
	switch p := f.field.Addr().Interface().(type) {
	case *string:
		return assign(p, raw, text)
	case *Secret:
		return assign(p, raw, secret)
	case *bool:
		return assign(p, raw, boolean)
	case *int:
		return assign(p, raw, whole)
	case *float64:
		return assign(p, raw, number)
	case *time.Duration:
		return assign(p, raw, duration)
	case *Bytes:
		return assign(p, raw, size)
	case *[]string:
		return assign(p, raw, texts)
	case *[]Secret:
		return assign(p, raw, secrets)
	case *[]netip.Prefix:
		return assign(p, raw, prefixes)
	}
	return fmt.Errorf("has a type that nobody parses: %s", f.field.Type()) // TestEveryKeyIsParsed
}

func assign[T any](to *T, raw any, parse func(any) (T, error)) error {
	v, err := parse(raw)
	if err == nil {
		*to = v
	}
	return err
}

func text(raw any) (string, error) {
	switch raw := raw.(type) {
	case string:
		return strings.TrimSpace(raw), nil
	case int, int64, uint64, bool: // unquoted in YAML: a password of digits
		return fmt.Sprint(raw), nil
	}
	return "", errors.New("must be text (put it in quotes)")
}

// secret keeps spaces: they may belong to a password.
func secret(raw any) (Secret, error) {
	if s, ok := raw.(string); ok {
		return Secret(s), nil
	}
	s, err := text(raw)
	return Secret(s), err
}

func boolean(raw any) (bool, error) {
	switch raw := raw.(type) {
	case bool:
		return raw, nil
	case string:
		if b, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(raw))); err == nil {
			return b, nil
		}
	}
	return false, errors.New("must be true or false")
}

func whole(raw any) (int, error) {
	switch raw := raw.(type) {
	case int:
		return raw, nil
	case string:
		if n, err := strconv.Atoi(strings.TrimSpace(raw)); err == nil {
			return n, nil
		}
	}
	return 0, errors.New("must be a whole number")
}

func number(raw any) (float64, error) {
	switch raw := raw.(type) {
	case int:
		return float64(raw), nil
	case float64:
		if !math.IsNaN(raw) && !math.IsInf(raw, 0) {
			return raw, nil
		}
	case string:
		if n, err := strconv.ParseFloat(strings.TrimSpace(raw), 64); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
			return n, nil
		}
	}
	return 0, errors.New("must be a number")
}

var days = regexp.MustCompile(`^(\d{1,5})d(.*)$`)

// duration accepts Go's durations and days, which Go leaves out because of daylight saving; here a day is 24 hours.
func duration(raw any) (time.Duration, error) {
	wrong := errors.New(`must be a duration with a unit, such as "10m", "24h" or "30d"`)
	s, ok := raw.(string)
	if raw == 0 {
		return 0, nil
	}
	if !ok {
		return 0, wrong
	}
	s = strings.TrimSpace(s)
	var total time.Duration
	if m := days.FindStringSubmatch(s); m != nil {
		n, _ := strconv.Atoi(m[1]) // the pattern allows digits only
		total, s = time.Duration(n)*day, m[2]
		if s == "" {
			return total, nil
		}
	}
	rest, err := time.ParseDuration(s)
	if err != nil || rest < 0 {
		return 0, wrong
	}
	return total + rest, nil
}

// Bytes is a size.
type Bytes int64

func (b Bytes) String() string {
	switch {
	case b > 0 && b%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", int64(b)>>20)
	case b > 0 && b%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", int64(b)>>10)
	}
	return strconv.FormatInt(int64(b), 10)
}

func size(raw any) (Bytes, error) {
	unit := int64(1)
	s := strings.TrimSpace(fmt.Sprint(raw))
	for suffix, factor := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = strings.TrimSpace(rest), factor
		}
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0, errors.New(`must be a size such as "512KiB" or "1MiB"`)
	}
	return Bytes(n * unit), nil
}

// texts reads a YAML list, or a list with commas, which is all that a variable can hold.
func texts(raw any) ([]string, error) {
	items, ok := raw.([]any)
	if s, isText := raw.(string); isText {
		for part := range strings.SplitSeq(s, ",") {
			items = append(items, part)
		}
		ok = true
	}
	if !ok {
		return nil, errors.New("must be a list")
	}
	var out []string
	for _, item := range items {
		s, err := text(item)
		if err != nil {
			return nil, err
		}
		if s != "" {
			out = append(out, s)
		}
	}
	return out, nil
}

func secrets(raw any) ([]Secret, error) {
	items, err := texts(raw)
	var out []Secret
	for _, item := range items {
		out = append(out, Secret(item))
	}
	return out, err
}

func prefixes(raw any) ([]netip.Prefix, error) {
	items, err := texts(raw)
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, item := range items {
		if address, err := netip.ParseAddr(item); err == nil {
			out = append(out, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", item)
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}
