package problem

// maxScanned is how deep a scan follows a body. Deeper ones are rare, and whoever sends them may mean to exhaust the stack.
const maxScanned = 100

// A scan goes through JSON text without making anything of it. It gives up on whatever is not plain: escapes in a name, or text
// that turns out to be no JSON.
type scan struct {
	text  []byte
	at    int
	depth int
}

// fits reports whether all names in the text are surely those of fields. Nearly every body is so, and then the tree of it need not be
// built to find out.
func (s *shape) fits(text []byte) bool {
	return (&scan{text: text}).value(s)
}

func (c *scan) value(s *shape) bool {
	c.depth++
	defer func() { c.depth-- }()
	switch c.next() {
	case '{':
		return c.depth < maxScanned && c.object(s)
	case '[':
		return c.depth < maxScanned && c.list(s)
	case '"':
		_, ok := c.string()
		return ok
	case 0:
		return false
	}
	return c.literal()
}

// literal reads a number, true, false or null.
func (c *scan) literal() bool {
	for begin := c.at; ; c.at++ {
		if c.at == len(c.text) {
			return true
		}
		switch c.text[c.at] {
		case ',', ':', '[', ']', '{', '}', '"', ' ', '\t', '\r', '\n':
			return c.at > begin
		}
	}
}

// next skips blanks and returns the character there; 0 at the end.
func (c *scan) next() byte {
	for ; c.at < len(c.text); c.at++ {
		switch b := c.text[c.at]; b {
		case ' ', '\t', '\r', '\n':
		default:
			return b
		}
	}
	return 0
}

// string reads what is in quotation marks, escapes as they are, and reports whether it ends.
func (c *scan) string() (raw []byte, ok bool) {
	begin := c.at + 1
	for i := begin; i < len(c.text); i++ {
		switch c.text[i] {
		case '\\':
			i++
		case '"':
			c.at = i + 1
			return c.text[begin:i], true
		}
	}
	return nil, false
}

func (c *scan) object(s *shape) bool {
	for c.at++; c.next() == '"'; {
		name, ok := c.string()
		if !ok || c.next() != ':' {
			return false
		}
		c.at++
		inside := s.items
		if s.fields != nil {
			if inside = s.fields[string(name)]; inside == nil {
				return false
			}
		}
		if !c.value(orEmpty(inside)) {
			return false
		}
		if c.next() == ',' {
			c.at++
		}
	}
	return c.ends('}')
}

func (c *scan) list(s *shape) bool {
	inside := orEmpty(s.items)
	c.at++
	for b := c.next(); b != ']' && b != 0; b = c.next() {
		if !c.value(inside) {
			return false
		}
		if c.next() == ',' {
			c.at++
		}
	}
	return c.ends(']')
}

func (c *scan) ends(with byte) bool {
	if c.next() != with {
		return false
	}
	c.at++
	return true
}

var anything = &shape{}

func orEmpty(s *shape) *shape {
	if s == nil {
		return anything
	}
	return s
}
