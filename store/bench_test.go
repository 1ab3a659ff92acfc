package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"auth-service/store"
	"auth-service/store/storetest"
)

// BenchmarkHotPath compares ways to say the three statements that tokens are made of. Read it before you make a hot path
// faster: on a socket of this machine, the database's share is as small as it ever gets.
func BenchmarkHotPath(b *testing.B) {
	for engine, open := range map[string]func(testing.TB, ...storetest.Option) *store.Store{
		"sqlite": storetest.New, "postgres": storetest.NewPostgres,
	} {
		s := open(b)
		h := hotPath{s}
		require.NoError(b, s.CreateAuthorizationCode(b.Context(), code("existing")))
		for _, c := range []struct {
			name string
			call func(ctx context.Context) error
		}{
			{"read/gorm Take", h.take},
			{"read/gorm Raw Scan struct", h.rawScan},
			{"read/gorm Raw Row", h.rawRow},
			{"read/direct", h.directRow},
			{"cas/gorm Updates", h.updates},
			{"cas/gorm Exec", h.exec},
			{"cas/direct", h.directExec},
			{"insert/gorm Create", h.create},
			{"insert/gorm Exec", h.insert},
			{"tx/gorm two cas", h.tx},
			{"tx/direct two cas", h.directTx},
		} {
			b.Run(engine+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				start := cpu(b)
				for b.Loop() {
					if err := c.call(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(cpu(b)-start)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

type hotPath struct{ s *store.Store }

func code(signature string) *store.AuthorizationCode {
	now := time.Now()
	return &store.AuthorizationCode{
		Signature: []byte(signature), GrantID: store.NewID(), ClientID: "c", UserID: "u", SessionID: "s",
		RedirectURI: "https://a.example/cb", Scopes: []string{"openid"}, Audiences: []string{"https://a.example"},
		AMR: []string{"pwd"}, ACR: "1", AuthTime: now, CreatedAt: now, ExpiresAt: now.Add(time.Minute),
	}
}

func (h hotPath) take(ctx context.Context) error {
	var c store.AuthorizationCode
	return h.s.DB(ctx).Take(&c, "signature = ?", []byte("existing")).Error
}

func (h hotPath) rawScan(ctx context.Context) error {
	var c store.AuthorizationCode
	return h.s.DB(ctx).Raw("SELECT * FROM authorization_codes WHERE signature = ?", []byte("existing")).Scan(&c).Error
}

const selectFive = "SELECT grant_id, client_id, user_id, scopes, expires_at FROM authorization_codes WHERE signature = "

func scanFive(row *sql.Row) error {
	var c store.AuthorizationCode
	var scopes string
	return row.Scan(&c.GrantID, &c.ClientID, &c.UserID, &scopes, &c.ExpiresAt)
}

func (h hotPath) rawRow(ctx context.Context) error {
	return scanFive(h.s.DB(ctx).Raw(selectFive+"?", []byte("existing")).Row())
}

func (h hotPath) directRow(ctx context.Context) error {
	return scanFive(h.s.Direct(ctx).QueryRowContext(ctx, selectFive+"$1", []byte("existing")))
}

func (h hotPath) updates(ctx context.Context) error {
	return h.s.DB(ctx).Model(&store.AuthorizationCode{}).Where("signature = ? AND client_id = ?", []byte("existing"), "c").
		Updates(map[string]any{"used_at": time.Now()}).Error
}

func (h hotPath) exec(ctx context.Context) error { return cas(h.s.DB(ctx)) }

func cas(db *gorm.DB) error {
	return db.Exec("UPDATE authorization_codes SET used_at = ? WHERE signature = ? AND client_id = ?",
		time.Now(), []byte("existing"), "c").Error
}

func (h hotPath) directExec(ctx context.Context) error {
	_, err := h.s.Direct(ctx).ExecContext(ctx, "UPDATE authorization_codes SET used_at = $1 WHERE signature = $2 AND client_id = $3",
		time.Now(), []byte("existing"), "c")
	return err
}

func (h hotPath) create(ctx context.Context) error {
	return h.s.CreateAuthorizationCode(ctx, code(store.NewID()))
}

func (h hotPath) insert(ctx context.Context) error {
	c := code(store.NewID())
	return h.s.DB(ctx).Exec(`INSERT INTO authorization_codes (grant_id, signature, client_id, user_id, session_id, redirect_uri,
		scopes, audiences, organization_id, code_challenge, nonce, claims, auth_time, acr, amr, created_at, expires_at)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, c.GrantID, c.Signature, c.ClientID, c.UserID, c.SessionID, c.RedirectURI,
		fmt.Sprint(c.Scopes), fmt.Sprint(c.Audiences), "", "", "", "{}", c.AuthTime, c.ACR, "[]", c.CreatedAt, c.ExpiresAt).Error
}

func (h hotPath) tx(ctx context.Context) error {
	return h.s.Tx(ctx, func(ctx context.Context) error {
		if err := cas(h.s.DB(ctx)); err != nil {
			return err
		}
		return cas(h.s.DB(ctx))
	})
}

func (h hotPath) directTx(ctx context.Context) error {
	return h.s.Tx(ctx, func(ctx context.Context) error {
		if err := h.directExec(ctx); err != nil {
			return err
		}
		return h.directExec(ctx)
	})
}

// cpu is what this process has used so far: all of it on SQLite, the client's part on PostgreSQL.
func cpu(b *testing.B) int64 {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage.Utime.Nano() + usage.Stime.Nano()
}
