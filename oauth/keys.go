package oauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rs/zerolog"

	"auth-service/store"
)

// signingAlgs are the algorithms that every installation has a key for. Access tokens are always ES256; ID tokens are
// RS256 unless the client asks otherwise (OIDC Core §15.1 makes RS256 mandatory).
var signingAlgs = []string{string(jose.RS256), string(jose.ES256), string(jose.EdDSA)}

// jwksMaxAge is how long relying parties may cache the key set. A key is published at least that long before it signs.
const jwksMaxAge = 15 * time.Minute

// reloadPause limits how often tokens with an unknown kid make us look for a key of another replica.
const reloadPause = 5 * time.Second

// keySet holds the signing keys. For each algorithm one key signs, the next is already published, and retired ones are
// listed until what they signed is dead.
type keySet struct {
	store   *store.Store
	keyring *store.Keyring
	policy  KeyPolicy
	now     func() time.Time
	log     zerolog.Logger

	mu      sync.Mutex // one reload or rotation at a time
	current atomic.Pointer[keySnapshot]
}

// keySnapshot is one state of the key set; it never changes once published.
type keySnapshot struct {
	loaded time.Time
	rows   map[string]store.SigningKey // active, by alg
	next   map[string]store.SigningKey
	active map[string]*signingKey // by alg
	public map[string]jose.JSONWebKey
	jwks   []byte
	etag   string
	seen   *seenTokens
}

// signingKey signs with one prebuilt signer per token type: building one costs more than the signature's overhead.
type signingKey struct {
	id      string
	alg     string
	signers map[string]jose.Signer
}

// reload reads the key set again unless somebody did so since the caller looked at it.
func (k *keySet) reload(ctx context.Context, seen *keySnapshot) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current.Load() != seen {
		return nil
	}
	return k.loadLocked(ctx)
}

// load reads the key set and makes whatever key is missing.
func (k *keySet) load(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.loadLocked(ctx)
}

func (k *keySet) loadLocked(ctx context.Context) error {
	snapshot, err := k.read(ctx)
	if err != nil {
		return err
	}
	made := false
	for _, alg := range signingAlgs {
		_, active := snapshot.rows[alg]
		_, next := snapshot.next[alg]
		if !active {
			if err := k.create(ctx, alg, true); err != nil {
				return err
			}
		}
		if !next {
			if err := k.create(ctx, alg, false); err != nil {
				return err
			}
		}
		made = made || !active || !next
	}
	if made {
		if snapshot, err = k.read(ctx); err != nil {
			return err
		}
	}
	k.current.Store(snapshot)
	return nil
}

// create inserts a key of alg. That another replica was faster is no error: its key serves as well.
func (k *keySet) create(ctx context.Context, alg string, active bool) error {
	row, err := k.generate(alg)
	if err != nil {
		return err
	}
	if active {
		row.ActivatedAt = &row.CreatedAt
	}
	if err := k.store.CreateSigningKey(ctx, row); err != nil && !errors.Is(err, store.ErrConflict) {
		return err
	}
	return nil
}

// maintain reloads the set and rotates keys that have signed long enough.
func (k *keySet) maintain(ctx context.Context) error {
	if err := k.load(ctx); err != nil {
		return err
	}
	for alg, row := range k.current.Load().rows {
		if k.now().Sub(*row.ActivatedAt) < k.policy.Rotation || !k.published(alg) {
			continue
		}
		if err := k.rotate(ctx, alg); err != nil {
			return err
		}
	}
	return nil
}

// published reports whether every relying party that honours the cache lifetime knows the next key of alg by now.
func (k *keySet) published(alg string) bool {
	next, ok := k.current.Load().next[alg]
	return ok && k.now().Sub(next.CreatedAt) >= jwksMaxAge
}

// rotate lets the next key of alg sign. Losing the race to another replica is no error.
func (k *keySet) rotate(ctx context.Context, alg string) error {
	successor, err := k.generate(alg)
	if err != nil {
		return err
	}
	active := k.current.Load().rows[alg]
	event := store.Actor{Type: store.ActorSystem}.Event("signing_key.rotate", "signing_key", active.ID)
	event.Changes = map[string]store.Change{"alg": {After: alg}, "next": {After: successor.ID}}
	err = k.store.RotateSigningKey(ctx, alg, active.ID, successor, k.retention(), event)
	switch {
	case err == nil:
		k.log.Info().Str("alg", alg).Str("retired_kid", active.ID).Msg("signing key rotated")
	case !errors.Is(err, store.ErrConflict):
		return err
	}
	return k.load(ctx)
}

// retention is how long a retired key stays published: at least until the last token that it signed is dead, and an
// application may let its tokens live for store.MaxAccessTokenLifetime, whatever the configuration says for others.
func (k *keySet) retention() time.Duration {
	return max(k.policy.Retention, store.MaxAccessTokenLifetime)
}

func (k *keySet) generate(alg string) (*store.SigningKey, error) {
	newKey := k.policy.Generate
	if newKey == nil {
		newKey = GenerateKey
	}
	private, err := newKey(alg)
	if err != nil {
		return nil, fmt.Errorf("make %s key: %w", alg, err)
	}
	id := store.NewID()
	public, err := json.Marshal(publicJWK(private.Public(), id, alg))
	if err != nil {
		return nil, fmt.Errorf("encode %s key: %w", alg, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("encode %s key: %w", alg, err)
	}
	sealed := k.keyring.Seal("signing_keys/private_key/"+id, der)
	return &store.SigningKey{ID: id, Alg: alg, PublicJWK: string(public), PrivateKey: sealed, CreatedAt: k.now().UTC()}, nil
}

// GenerateKey makes a private key for RS256 (2048 bits), ES256 or EdDSA (Ed25519).
func GenerateKey(alg string) (crypto.Signer, error) {
	switch alg {
	case string(jose.RS256):
		return rsa.GenerateKey(rand.Reader, 2048)
	case string(jose.ES256):
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case string(jose.EdDSA):
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("no such signing algorithm: %q", alg)
}

func publicJWK(key crypto.PublicKey, id, alg string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: alg, Use: "sig"}
}

// read loads the rows into a snapshot. Private keys are opened for the active keys only.
func (k *keySet) read(ctx context.Context) (*keySnapshot, error) {
	rows, err := k.store.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	s := &keySnapshot{loaded: k.now(), rows: map[string]store.SigningKey{}, next: map[string]store.SigningKey{},
		active: map[string]*signingKey{}, public: map[string]jose.JSONWebKey{}, seen: newSeenTokens()}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, row := range rows {
		var public jose.JSONWebKey
		if err := json.Unmarshal([]byte(row.PublicJWK), &public); err != nil {
			return nil, fmt.Errorf("signing key %s: %w", row.ID, err)
		}
		set.Keys, s.public[row.ID] = append(set.Keys, public), public
		switch {
		case row.ActivatedAt == nil:
			s.next[row.Alg] = row
		case row.RetiredAt == nil:
			s.rows[row.Alg] = row
			if s.active[row.Alg], err = k.open(row); err != nil {
				return nil, err
			}
		}
	}
	if s.jwks, err = json.Marshal(set); err != nil {
		return nil, fmt.Errorf("render key set: %w", err)
	}
	sum := sha256.Sum256(s.jwks)
	s.etag = `"` + hex.EncodeToString(sum[:8]) + `"`
	return s, nil
}

// open unseals a private key, unless the key in use is that one already, and prepares its signers.
func (k *keySet) open(row store.SigningKey) (*signingKey, error) {
	if old := k.current.Load(); old != nil && old.active[row.Alg] != nil && old.active[row.Alg].id == row.ID {
		return old.active[row.Alg], nil
	}
	der, err := k.keyring.Open("signing_keys/private_key/"+row.ID, row.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", row.ID, err)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", row.ID, err)
	}
	key := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(row.Alg), Key: jose.JSONWebKey{Key: private, KeyID: row.ID, Algorithm: row.Alg}}
	signing := &signingKey{id: row.ID, alg: row.Alg, signers: map[string]jose.Signer{}}
	for _, typ := range []string{typAccessToken, typIDToken} {
		signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
		if err != nil {
			return nil, fmt.Errorf("signing key %s: %w", row.ID, err)
		}
		signing.signers[typ] = signer
	}
	return signing, nil
}

// Token types (the typ header), so that one kind of token is never taken for another (RFC 8725 §3.11).
const (
	typAccessToken = "at+jwt" // RFC 9068
	typIDToken     = "JWT"
)

// sign returns claims as a compact JWS of the given type, signed by the active key of alg.
func (k *keySet) sign(alg, typ string, claims any) (string, error) {
	key := k.current.Load().active[alg]
	if key == nil {
		return "", fmt.Errorf("no active %s key", alg)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	signed, err := key.signers[typ].Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", key.id, err)
	}
	return signed.CompactSerialize()
}

var errBadToken = errors.New("token is malformed or not signed by this server")

// verify checks the signature of a compact JWS of the given type and returns its payload. The algorithm is the one of
// the key that kid names, whatever the header claims, so "none" and key confusion find nothing to work with (RFC 8725 §3.1).
func (k *keySet) verify(ctx context.Context, typ, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA})
	if err != nil {
		return nil, errBadToken
	}
	header := jws.Signatures[0].Protected
	if got, _ := header.ExtraHeaders[jose.HeaderType].(string); got != typ {
		return nil, errBadToken
	}
	public, ok := k.public(ctx, header.KeyID)
	if !ok || public.Algorithm != header.Algorithm {
		return nil, errBadToken
	}
	payload, err := jws.Verify(public.Key)
	if err != nil {
		return nil, errBadToken
	}
	return payload, nil
}

// public finds a key by kid. An unknown one may be another replica's newest, so the set is read again, at most once
// every few seconds: a stranger must not turn made-up kids into queries.
func (k *keySet) public(ctx context.Context, kid string) (jose.JSONWebKey, bool) {
	snapshot := k.current.Load()
	key, ok := snapshot.public[kid]
	if ok || kid == "" || k.now().Sub(snapshot.loaded) < reloadPause {
		return key, ok
	}
	if err := k.reload(ctx, snapshot); err != nil {
		k.log.Warn().Err(err).Msg("signing keys could not be read again")
		return key, false
	}
	key, ok = k.current.Load().public[kid]
	return key, ok
}

// RotateKeys lets the next key of each named algorithm sign at once. Unless forced it refuses a key that was published
// too short a time ago: relying parties may not know it yet.
func (p *Provider) RotateKeys(ctx context.Context, force bool, algs ...string) error {
	if len(algs) == 0 {
		algs = signingAlgs
	}
	for _, alg := range algs {
		if !slices.Contains(signingAlgs, alg) {
			return fmt.Errorf("no such signing algorithm: %q", alg)
		}
		if !force && !p.keys.published(alg) {
			return fmt.Errorf("the next %s key has been published for less than %s, so relying parties may not know it yet", alg, jwksMaxAge)
		}
	}
	for _, alg := range algs {
		if err := p.keys.rotate(ctx, alg); err != nil {
			return err
		}
	}
	return nil
}
