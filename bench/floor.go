package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/go-jose/go-jose/v4"
	_ "github.com/jackc/pgx/v5/stdlib" // the drivers that the server uses
	"github.com/labstack/echo/v4"
	"golang.org/x/crypto/argon2"
	_ "modernc.org/sqlite"

	"auth-service/store"
)

// startFloor runs this program again as the bare server.
func startFloor(ctx context.Context, database int, url string) (*target, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-floor", url)
	cmd.Env = append(os.Environ(), "FLOOR_ADDRESS="+address)
	cmd.Stderr = os.Stderr
	return start(ctx, database, cmd, address)
}

// A floor does the unavoidable part of each path, and nothing else.
type floor struct {
	db     *sql.DB
	insert string
	query  string
	signer jose.Signer
	public *ecdsa.PublicKey
	token  string
	argon  chan struct{}
}

// claims are as long as those of a real access token.
var claims = []byte(`{"iss":"http://localhost:3001/api/auth","sub":"0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000","aud":["https://api.example.com"],` +
	`"client_id":"crm-web","azp":"crm-web","scope":"openid profile email offline_access","sid":"0199aaaa-bbbb-7ccc-8ddd-eeeeffff0001",` +
	`"gid":"0199aaaa-bbbb-7ccc-8ddd-eeeeffff0002","jti":"AZqu_AAAAAAAAAAAAAAAAAAA","iat":1790000000,"exp":1790000600,"auth_time":1790000000,"acr":"1","amr":["pwd"]}`)

func serveFloor(ctx context.Context, url string) error {
	f, err := newFloor(ctx, url)
	if err != nil {
		return err
	}
	defer f.db.Close()
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	page := make([]byte, 2048)
	e.GET("/health/live", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	e.GET("/static", func(c echo.Context) error { return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, page) })
	for path, work := range map[string][]func(context.Context) error{
		"/sign": {f.sign}, "/verify": {f.verify}, "/read": {f.read}, "/commit": {f.commit}, "/argon2": {f.hash},
		"/verify+read": {f.verify, f.read}, "/read+commit": {f.read, f.commit}, "/commit+sign": {f.commit, f.sign},
		"/flow": {f.read, f.commit, f.commit, f.sign},
	} {
		e.POST(path, func(c echo.Context) error {
			for _, do := range work {
				if err := do(c.Request().Context()); err != nil {
					return err
				}
			}
			return c.JSON(http.StatusOK, map[string]string{"token": f.token})
		})
	}
	context.AfterFunc(ctx, func() { _ = e.Close() }) // the error is that of a listener being closed
	if err := e.Start(os.Getenv("FLOOR_ADDRESS")); ctx.Err() == nil {
		return err
	}
	return nil
}

func newFloor(ctx context.Context, url string) (*floor, error) {
	f := &floor{argon: make(chan struct{}, runtime.GOMAXPROCS(0))}
	driver, dsn, blob := "pgx", url, "bytea"
	f.insert, f.query = "INSERT INTO floor_rows VALUES ($1, $2)", "SELECT body FROM floor_rows WHERE id = $1"
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, blob = "sqlite", "blob"
		dsn = "file:" + path + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate"
	}
	var err error
	if f.db, err = sql.Open(driver, dsn); err != nil {
		return nil, err
	}
	f.db.SetMaxOpenConns(20)
	if driver == "sqlite" {
		f.db.SetMaxOpenConns(8)
	}
	f.db.SetMaxIdleConns(20)
	for _, statement := range []string{"CREATE TABLE IF NOT EXISTS floor_rows (id text PRIMARY KEY, body " + blob + " NOT NULL)", "DELETE FROM floor_rows"} {
		if _, err := f.db.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	if _, err := f.db.ExecContext(ctx, f.insert, "one", claims); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	f.public = &key.PublicKey
	if f.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil); err != nil {
		return nil, err
	}
	signed, err := f.signer.Sign(claims)
	if err != nil {
		return nil, err
	}
	f.token, err = signed.CompactSerialize()
	return f, err
}

func (f *floor) sign(context.Context) error {
	signed, err := f.signer.Sign(claims)
	if err == nil {
		_, err = signed.CompactSerialize()
	}
	return err
}

func (f *floor) verify(context.Context) error {
	signed, err := jose.ParseSignedCompact(f.token, []jose.SignatureAlgorithm{jose.ES256})
	if err == nil {
		_, err = signed.Verify(f.public)
	}
	return err
}

func (f *floor) read(ctx context.Context) error {
	var body []byte
	return f.db.QueryRowContext(ctx, f.query, "one").Scan(&body)
}

func (f *floor) commit(ctx context.Context) error {
	_, err := f.db.ExecContext(ctx, f.insert, store.NewID(), claims)
	return err
}

// hash is bounded like the server's, for the same reason.
func (f *floor) hash(context.Context) error {
	f.argon <- struct{}{}
	defer func() { <-f.argon }()
	argon2.IDKey([]byte("correct horse battery staple"), []byte("0123456789abcdef"), 2, 19456, 1, 32)
	return nil
}
