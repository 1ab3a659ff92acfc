package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Access token formats of an application.
const (
	TokenFormatJWT    = "jwt"
	TokenFormatOpaque = "opaque"
)

// An Application is a product that people sign in to. It has one or more clients. Lifetimes are in seconds;
// zero means the configured default.
type Application struct {
	ID                       string `gorm:"primaryKey"`
	Slug                     string
	Name                     string
	Disabled                 bool
	Audiences                []string `gorm:"serializer:json"`
	AccessTokenFormat        string
	CodeLifetime             int64
	AccessTokenLifetime      int64
	IDTokenLifetime          int64
	RefreshTokenIdleLifetime int64
	RefreshTokenLifetime     int64
	LogoURI                  string         `gorm:"column:logo_uri"`
	HomepageURI              string         `gorm:"column:homepage_uri"`
	PolicyURI                string         `gorm:"column:policy_uri"`
	TOSURI                   string         `gorm:"column:tos_uri"`
	Metadata                 map[string]any `gorm:"serializer:json"`
	Clients                  []Client       `gorm:"foreignKey:ApplicationID"` // the oldest first; that one the application was created with
	CreatedAt                time.Time
	UpdatedAt                time.Time
}

// Client returns the application's client with the id, or nil: another application's client is not among them.
func (a *Application) Client(id string) *Client {
	for i := range a.Clients {
		if a.Clients[i].ID == id {
			return &a.Clients[i]
		}
	}
	return nil
}

// An ApplicationQuery selects one page of applications, which sort ByCreation, ByName or ByUpdate.
type ApplicationQuery struct {
	Paging
	Search string // a part of the name, the slug or a client_id
	Type   string // those with a client of this type; empty for all
}

// Applications returns one page, the clients of each application included, in two statements, however long it is.
func (s *Store) Applications(ctx context.Context, q ApplicationQuery) (*Page[Application], error) {
	page, err := findPage[Application](ctx, s, q.Paging, s.applicationListing(ctx, q))
	if err == nil {
		err = known(s.loadClients(ctx, page.Items))
	}
	if err != nil {
		return nil, fmt.Errorf("list applications: %w", err)
	}
	return page, nil
}

func (s *Store) applicationListing(ctx context.Context, q ApplicationQuery) listing {
	l := listing{
		matching: func() *gorm.DB { return s.matching(ctx, q) }, columns: "applications.*", key: "applications.id",
		order: byColumn("applications.created_at"),
	}
	if q.Sort == ByName || q.Sort == ByUpdate {
		l.order = byColumn("applications." + q.Sort)
	}
	if q.Type == "" && q.Search == "" {
		l.whole = "applications"
	}
	return l
}

// matching selects the applications that q is about, on all its pages.
func (s *Store) matching(ctx context.Context, q ApplicationQuery) *gorm.DB {
	db := s.db(ctx).Model(&Application{})
	if q.Type != "" {
		db = db.Where("EXISTS (SELECT 1 FROM clients WHERE clients.application_id = applications.id AND clients.type = ?)", q.Type)
	}
	if q.Search != "" {
		// The second comparison is for SQLite, whose lower() leaves everything but ASCII alone.
		exact, folded := containing(q.Search), containing(strings.ToLower(q.Search))
		db = db.Where(`(lower(applications.name) LIKE ? ESCAPE '!' OR applications.name LIKE ? ESCAPE '!' OR applications.slug LIKE ? ESCAPE '!'
			OR EXISTS (SELECT 1 FROM clients WHERE clients.application_id = applications.id AND lower(clients.id) LIKE ? ESCAPE '!'))`,
			folded, exact, folded, folded)
	}
	return db
}

// containing is the LIKE pattern for "has text somewhere inside", with text taken literally.
func containing(text string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text) + "%"
}

func (s *Store) loadClients(ctx context.Context, applications []Application) error {
	if len(applications) == 0 {
		return nil
	}
	at := map[string]*Application{}
	ids := make([]string, len(applications))
	for i := range applications {
		ids[i], at[applications[i].ID] = applications[i].ID, &applications[i]
	}
	var clients []Client
	if err := s.db(ctx).Order("created_at, id").Find(&clients, "application_id IN ?", ids).Error; err != nil {
		return err
	}
	for _, c := range clients {
		at[c.ApplicationID].Clients = append(at[c.ApplicationID].Clients, c)
	}
	return nil
}

// ApplicationByRef returns the application whose id, slug or client's client_id is ref (in this order, should several
// match), with its clients and their live secrets; or ErrNotFound.
func (s *Store) ApplicationByRef(ctx context.Context, ref string) (*Application, error) {
	return s.applicationByRef(s.db(ctx), ref)
}

// LockApplication is ApplicationByRef for those who will write: until their transaction ends, no one else gets past this
// call for the same application. So what they read and check still holds when they write.
func (s *Store) LockApplication(ctx context.Context, ref string) (*Application, error) {
	return s.applicationByRef(s.db(ctx).Clauses(clause.Locking{Strength: "UPDATE"}), ref)
}

func (s *Store) applicationByRef(db *gorm.DB, ref string) (*Application, error) {
	var a Application
	first := clause.Expr{SQL: "CASE WHEN applications.id = ? THEN 0 WHEN applications.slug = ? THEN 1 ELSE 2 END", Vars: []any{ref, ref}}
	err := db.Order(clause.OrderBy{Expression: first}).Limit(1).
		Take(&a, "applications.id = ? OR applications.slug = ? OR applications.id = (SELECT application_id FROM clients WHERE clients.id = ?)", ref, ref, ref).Error
	if err != nil {
		return nil, fmt.Errorf("application %q: %w", ref, known(err))
	}
	plain := db.Session(&gorm.Session{NewDB: true})
	if err := plain.Preload("Secrets", s.liveSecrets).Scopes(oldestFirst).Find(&a.Clients, "application_id = ?", a.ID).Error; err != nil {
		return nil, fmt.Errorf("clients of application %q: %w", ref, known(err))
	}
	return &a, nil
}

func oldestFirst(db *gorm.DB) *gorm.DB { return db.Order("created_at, id") }

func (s *Store) liveSecrets(db *gorm.DB) *gorm.DB {
	return oldestFirst(db.Where("expires_at IS NULL OR expires_at > ?", s.now()))
}

// CreateApplication inserts a, without clients. It returns ErrConflict when the slug is taken, if only as the client_id of
// another application, and then the transaction may go on to try another.
func (s *Store) CreateApplication(ctx context.Context, a *Application) error {
	a.ID, a.CreatedAt = NewID(), s.now()
	a.UpdatedAt = a.CreatedAt
	if err := s.freeName(ctx, "SELECT 1 FROM clients WHERE id = ? AND application_id <> ?", a.Slug, a.ID); err != nil {
		return fmt.Errorf("create application %q: %w", a.Slug, err)
	}
	taken := clause.OnConflict{Columns: []clause.Column{{Name: "slug"}}, DoNothing: true}
	res := s.db(ctx).Clauses(taken).Omit(clause.Associations).Create(a)
	if res.Error != nil {
		return fmt.Errorf("create application %q: %w", a.Slug, known(res.Error))
	}
	if res.RowsAffected == 0 {
		return fmt.Errorf("create application %q: %w", a.Slug, ErrConflict)
	}
	return nil
}

// freeName returns ErrConflict when the query finds that another application can be called so already. ApplicationByRef would
// find one in the place of the other: whoever gives a client rights would give them to somebody else's.
func (s *Store) freeName(ctx context.Context, query string, args ...any) error {
	var found []int
	if err := s.db(ctx).Raw(query+" LIMIT 1", args...).Scan(&found).Error; err != nil {
		return known(err)
	}
	if len(found) > 0 {
		return ErrConflict
	}
	return nil
}

// UpdateApplication writes every column of a. It returns ErrConflict when the slug is another application's, or becomes the
// client_id of one.
func (s *Store) UpdateApplication(ctx context.Context, a *Application) error {
	err := s.freeName(ctx, "SELECT 1 FROM clients WHERE id = ? AND application_id <> ? AND id NOT IN (SELECT slug FROM applications WHERE id = ?)", a.Slug, a.ID, a.ID)
	if err != nil {
		return fmt.Errorf("update application %s: %w", a.ID, err)
	}
	a.UpdatedAt = s.now() // UpdateColumns keeps it; Updates would write a later one, which a would not know
	res := s.db(ctx).Model(&Application{}).Where("id = ?", a.ID).Select("*").Omit(clause.Associations, "id", "created_at").UpdateColumns(a)
	if res.Error != nil {
		return fmt.Errorf("update application %s: %w", a.ID, known(res.Error))
	}
	if res.RowsAffected == 0 {
		return fmt.Errorf("update application %s: %w", a.ID, ErrNotFound)
	}
	s.publish(ctx, Event{Kind: EventApplicationChanged, ID: a.ID})
	return nil
}

// DeleteApplication removes the application and all that belongs to it. Access tokens live on unless the caller revokes
// the grants first, in the same transaction.
func (s *Store) DeleteApplication(ctx context.Context, id string) error {
	if err := s.db(ctx).Delete(&OutboxEvent{}, "application_id = ?", id).Error; err != nil {
		return fmt.Errorf("delete events of application %s: %w", id, known(err))
	}
	res := s.db(ctx).Delete(&Application{}, "id = ?", id)
	if res.Error != nil {
		return fmt.Errorf("delete application %s: %w", id, known(res.Error))
	}
	if res.RowsAffected == 0 {
		return fmt.Errorf("delete application %s: %w", id, ErrNotFound)
	}
	s.publish(ctx, Event{Kind: EventApplicationChanged, ID: id})
	return nil
}

// GrantCounts tells how much an application is used.
type GrantCounts struct {
	Grants int64 // that may still yield tokens
	Users  int64 // who gave them
}

// CountGrants counts the live grants of the clients that a has, no more than limit of them.
func (s *Store) CountGrants(ctx context.Context, a *Application, limit int) (GrantCounts, error) {
	var n GrantCounts
	if len(a.Clients) == 0 {
		return n, nil
	}
	// A part for each client, in the order of an index: else PostgreSQL would read all that a busy client has before it counts.
	var parts []*gorm.DB
	now := s.now()
	for i := range a.Clients {
		parts = append(parts, s.db(ctx).Model(&Grant{}).Where("client_id = ? AND revoked_at IS NULL AND expires_at > ? AND idle_expires_at > ?", a.Clients[i].ID, now, now).
			Order("user_id").Limit(limit).Select("user_id"))
	}
	err := s.db(planned(ctx)).Table("(? LIMIT ?) AS live", united(parts...), limit).Select("count(*) AS grants, count(DISTINCT user_id) AS users").Scan(&n).Error
	if err != nil {
		return n, fmt.Errorf("count grants of application %s: %w", a.ID, known(err))
	}
	return n, nil
}
