package store

import (
	"context"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// A KeyQuery selects one page of what an application has by keys: its permissions, its roles or its plans. They sort ByCreation, ByKey
// or ByName, which folds case.
type KeyQuery struct {
	Paging
	ApplicationID string
	Search        string // how the key begins, or a part of the name
}

// keyListing lists the rows of a table that belong to one application. There are some hundreds of them at most, so the index
// of their keys finds them and no other one needs to sort them.
func (s *Store) keyListing(ctx context.Context, table string, q KeyQuery) listing {
	l := listing{
		matching: func() *gorm.DB { return s.matchingKeys(ctx, table, q) }, columns: table + ".*", key: table + ".id",
		order: byColumn(table + ".created_at"),
	}
	switch q.Sort {
	case ByKey:
		l.order = byColumn(s.bytewise(table + ".key"))
	case ByName:
		l.order = ordering{s.bytewise("lower(" + table + ".name)"), "lower(?)"}
	}
	return l
}

// matchingKeys selects the rows that q is about, on all its pages.
func (s *Store) matchingKeys(ctx context.Context, table string, q KeyQuery) *gorm.DB {
	db := s.db(ctx).Table(table).Where(table+".application_id = ?", q.ApplicationID)
	if q.Search != "" {
		exact, folded := containing(q.Search), containing(strings.ToLower(q.Search)) // as for applications
		db = db.Where("("+table+".key LIKE ? ESCAPE '!' OR lower("+table+".name) LIKE ? ESCAPE '!' OR "+table+".name LIKE ? ESCAPE '!')",
			folded[1:], folded, exact)
	}
	return db
}

func (s *Store) countKeys(ctx context.Context, model any, applicationID string) (int, error) {
	var n int64
	err := s.db(ctx).Model(model).Where("application_id = ?", applicationID).Count(&n).Error
	return int(n), known(err)
}

// createKey inserts a row whose key is unique in its application. It returns ErrConflict when the key is taken.
func (s *Store) createKey(ctx context.Context, row any) error {
	taken := clause.OnConflict{Columns: []clause.Column{{Name: "application_id"}, {Name: "key"}}, DoNothing: true}
	res := s.db(ctx).Clauses(taken).Omit(clause.Associations).Create(row)
	if res.Error == nil && res.RowsAffected == 0 {
		return ErrConflict
	}
	return known(res.Error)
}
