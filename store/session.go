package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm/clause"
)

// Why a browser session ended, beside the reasons that it shares with grants.
const (
	ReasonReplaced       = "replaced"        // a new sign-in in the same browser
	ReasonSessionRevoked = "session_revoked" // by the person or an operator, from a list
)

// A Session is one signed-in browser. Its cookie holds a random secret of which only the SHA-256 is kept; ID is the
// public handle, safe to show in lists and to put into tokens as sid.
type Session struct {
	ID                   string `gorm:"primaryKey"`
	SecretHash           []byte
	UserID               string
	User                 *User
	AuthTime             time.Time
	ACR                  string   `gorm:"column:acr"`
	AMR                  []string `gorm:"column:amr;serializer:json"`
	Remember             bool
	UserAgent            string
	IP                   string `gorm:"column:ip"`
	ActiveOrganizationID string
	CreatedAt            time.Time
	LastSeenAt           time.Time
	IdleExpiresAt        time.Time
	ExpiresAt            time.Time
	EndedAt              *time.Time
	EndReason            string
}

// CreateSession inserts ses.
func (s *Store) CreateSession(ctx context.Context, ses *Session) error {
	if err := s.db(ctx).Omit(clause.Associations).Create(ses).Error; err != nil {
		return fmt.Errorf("create session %s: %w", ses.ID, known(err))
	}
	return nil
}

// RenewSession gives the live session behind the old secret what ses says, its new secret among it, if it is the same
// person's; else ErrNotFound. It keeps its ID, which ses gets, and the time it was created.
func (s *Store) RenewSession(ctx context.Context, oldSecretHash []byte, ses *Session) error {
	var kept []Session
	res := s.db(ctx).Model(&kept).Clauses(clause.Returning{Columns: []clause.Column{{Name: "id"}, {Name: "created_at"}}}).
		Where("secret_hash = ? AND user_id = ? AND ended_at IS NULL AND idle_expires_at > ? AND expires_at > ?",
			oldSecretHash, ses.UserID, ses.LastSeenAt, ses.LastSeenAt).
		Updates(map[string]any{"secret_hash": ses.SecretHash, "auth_time": ses.AuthTime, "acr": ses.ACR, "amr": toJSON(ses.AMR),
			"remember": ses.Remember, "user_agent": ses.UserAgent, "ip": ses.IP, "last_seen_at": ses.LastSeenAt,
			"idle_expires_at": ses.IdleExpiresAt, "expires_at": ses.ExpiresAt})
	if res.Error != nil {
		return fmt.Errorf("renew session: %w", known(res.Error))
	}
	if len(kept) == 0 {
		return fmt.Errorf("renew session: %w", ErrNotFound)
	}
	ses.ID, ses.CreatedAt = kept[0].ID, kept[0].CreatedAt
	return nil
}

// SessionBySecret returns the session behind a cookie, with its person, if it has neither ended nor expired by now; else
// ErrNotFound. Whether the person is disabled is the caller's question. It is one query, on the path of every request.
func (s *Store) SessionBySecret(ctx context.Context, secretHash []byte, now time.Time) (*Session, error) {
	ses := &Session{User: &User{}}
	err := s.take(ctx, append(ses.targets(), ses.User.targets()...), "SELECT "+sessionColumns+", "+userColumns+
		" FROM sessions JOIN users ON users.id = sessions.user_id WHERE sessions.secret_hash = $1"+
		" AND sessions.ended_at IS NULL AND sessions.idle_expires_at > $2 AND sessions.expires_at > $2", secretHash, now)
	if err != nil {
		return nil, fmt.Errorf("session by secret: %w", err)
	}
	return ses, nil
}

// TouchSession notes that the session was seen at now and lives until idleExpiresAt without being seen again, unless
// another request noted so after notSince: of parallel requests one writes.
func (s *Store) TouchSession(ctx context.Context, id string, now, notSince, idleExpiresAt time.Time) error {
	err := s.db(ctx).Exec(`UPDATE sessions SET last_seen_at = ?, idle_expires_at = ?
		WHERE id = ? AND ended_at IS NULL AND last_seen_at <= ?`, now, idleExpiresAt, id, notSince).Error
	if err != nil {
		return fmt.Errorf("touch session %s: %w", id, known(err))
	}
	return nil
}

// SwitchOrganization makes an organization, or none if its id is empty, the active one of a session and returns which one
// was before. It returns ErrNotFound when the session has ended. The caller runs it in a transaction that holds the membership.
func (s *Store) SwitchOrganization(ctx context.Context, id, organizationID string) (string, error) {
	var ses Session
	err := s.db(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Select("active_organization_id").
		Take(&ses, "id = ? AND ended_at IS NULL", id).Error
	if err == nil && ses.ActiveOrganizationID != organizationID {
		err = s.db(ctx).Model(&Session{}).Where("id = ?", id).Update("active_organization_id", organizationID).Error
	}
	if err != nil {
		return "", fmt.Errorf("switch organization of session %s: %w", id, known(err))
	}
	return ses.ActiveOrganizationID, nil
}

// UserSessions returns the live sessions of a person, the latest first.
func (s *Store) UserSessions(ctx context.Context, userID string, now time.Time) ([]Session, error) {
	var rows []Session
	err := s.db(ctx).Order("created_at DESC, id DESC").
		Find(&rows, "user_id = ? AND ended_at IS NULL AND idle_expires_at > ? AND expires_at > ?", userID, now, now).Error
	if err != nil {
		return nil, fmt.Errorf("sessions of user %s: %w", userID, known(err))
	}
	return rows, nil
}

// EndSession ends one session of the person. It returns ErrNotFound when there is none such, for instance because it is
// another person's or has ended already.
func (s *Store) EndSession(ctx context.Context, userID, id, reason string, now time.Time) error {
	ended, err := s.endSessions(ctx, reason, now, "user_id = ? AND id = ?", userID, id)
	if err == nil && len(ended) == 0 {
		err = fmt.Errorf("end session: %w", ErrNotFound)
	}
	return err
}

// EndSessionBySecret ends the session behind a cookie and returns it, with its ID and UserID alone, or ErrNotFound.
func (s *Store) EndSessionBySecret(ctx context.Context, secretHash []byte, reason string, now time.Time) (*Session, error) {
	ended, err := s.endSessions(ctx, reason, now, "secret_hash = ?", secretHash)
	if err != nil {
		return nil, err
	}
	if len(ended) == 0 {
		return nil, fmt.Errorf("end session by secret: %w", ErrNotFound)
	}
	return &ended[0], nil
}

// EndUserSessions ends every session of the person except one, which may be empty, and returns the ids of those it ended.
func (s *Store) EndUserSessions(ctx context.Context, userID, except, reason string, now time.Time) ([]string, error) {
	ended, err := s.endSessions(ctx, reason, now, "user_id = ? AND id <> ?", userID, except)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(ended))
	for i := range ended {
		ids[i] = ended[i].ID
	}
	return ids, nil
}

// endSessions marks the open sessions that match. The rows stay: an operator may have to see when and why one ended.
func (s *Store) endSessions(ctx context.Context, reason string, now time.Time, where string, args ...any) ([]Session, error) {
	var ended []Session
	err := s.db(ctx).Model(&ended).Clauses(clause.Returning{Columns: []clause.Column{{Name: "id"}, {Name: "user_id"}}}).
		Where("ended_at IS NULL").Where(where, args...).
		Updates(map[string]any{"ended_at": now, "end_reason": reason}).Error
	if err != nil {
		return nil, fmt.Errorf("end sessions: %w", known(err))
	}
	return ended, nil
}

// PurgeSessions deletes up to limit sessions that ended, or whose time ran out, before the given moment and reports how many.
func (s *Store) PurgeSessions(ctx context.Context, before time.Time, limit int) (int64, error) {
	res := s.db(ctx).Exec(`DELETE FROM sessions WHERE id IN
		(SELECT id FROM sessions WHERE expires_at < ? OR ended_at IS NOT NULL AND ended_at < ? LIMIT ?)`, before, before, limit)
	if res.Error != nil {
		return 0, fmt.Errorf("purge sessions: %w", known(res.Error))
	}
	return res.RowsAffected, nil
}
