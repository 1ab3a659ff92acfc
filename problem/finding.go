package problem

// A Finding is what one field of a request needs, as a huma.Resolver returns it: it is reported in one answer with what
// the schema finds. Outside of huma, use Invalid.
type Finding struct {
	Field    string // a path like those of Error.Fields
	Sentence string // goes to the caller word for word
}

func (f *Finding) Error() string { return f.Field + ": " + f.Sentence }
