package store

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

var (
	// ErrSealed means that a sealed value does not open: it was altered, or moved from another place.
	ErrSealed = errors.New("sealed value does not open")
	// ErrUnknownKey means that a value was sealed under a secret which the configuration no longer has.
	ErrUnknownKey = errors.New("sealed under an unknown secret; is it missing from previous_secrets?")
)

// sealVersion tags the format, so that a later one can be told apart.
const sealVersion = "v1"

// A Keyring protects what the database keeps but must not reveal: it seals values that have to be read back, and makes
// MACs. Its newest secret does all new work; the previous ones only open and verify, so a secret can be replaced at once
// and retired when nothing needs it any more (see Current).
type Keyring struct {
	keys []ringKey // the newest first
}

type ringKey struct {
	id     string // what sealed values are tagged with; tells nothing about the secret
	secret []byte
	aead   cipher.AEAD
	mac    []byte
}

// NewKeyring derives the keys of secret, and those of the secrets that it replaced. Each must be long and random: nothing
// here slows down guessing.
func NewKeyring(secret string, previous ...string) *Keyring {
	r := &Keyring{}
	for _, s := range append([]string{secret}, previous...) {
		r.keys = append(r.keys, newRingKey(s))
	}
	return r
}

func newRingKey(secret string) ringKey {
	k := ringKey{secret: []byte(secret)}
	k.id = hex.EncodeToString(k.derive("key id", 4))
	k.mac = k.derive("mac", 32)
	k.aead, _ = chacha20poly1305.NewX(k.derive("seal", chacha20poly1305.KeySize)) // fails only for a wrong key size
	return k
}

// derive returns the subkey for a purpose (RFC 5869), so that no two uses ever share a key.
func (k ringKey) derive(purpose string, size int) []byte {
	key, err := hkdf.Key(sha256.New, k.secret, nil, "auth-service/"+purpose, size)
	if err != nil {
		panic(err) // only for more than 255 hashes of output, and sizes are constants
	}
	return key
}

// Keys returns the 32-byte keys for one more purpose, the newest first, for code that takes keys and not a Keyring.
func (r *Keyring) Keys(purpose string) [][]byte {
	var keys [][]byte
	for _, k := range r.keys {
		keys = append(keys, k.derive("keys/"+purpose, 32))
	}
	return keys
}

// Seal encrypts plain. The context says where it belongs, as "table/column/row": it opens nowhere else, so whoever can
// write to the database cannot swap one row's secret for another's.
func (r *Keyring) Seal(context string, plain []byte) string {
	k := r.keys[0]
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	rand.Read(nonce) // never fails: crypto/rand ends the program instead
	sealed := k.aead.Seal(nonce, nonce, plain, k.bind(context))
	return sealVersion + "." + k.id + "." + base64.RawURLEncoding.EncodeToString(sealed)
}

// Open decrypts what Seal made for the same context. It fails with ErrSealed or ErrUnknownKey.
func (r *Keyring) Open(context, sealed string) ([]byte, error) {
	version, rest, _ := strings.Cut(sealed, ".")
	id, body, found := strings.Cut(rest, ".")
	if !found || version != sealVersion {
		return nil, fmt.Errorf("%s: %w", context, ErrSealed)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(raw) < chacha20poly1305.NonceSizeX {
		return nil, fmt.Errorf("%s: %w", context, ErrSealed)
	}
	for _, k := range r.keys {
		if k.id != id {
			continue
		}
		plain, err := k.aead.Open(nil, raw[:chacha20poly1305.NonceSizeX], raw[chacha20poly1305.NonceSizeX:], k.bind(context))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", context, ErrSealed)
		}
		return plain, nil
	}
	return nil, fmt.Errorf("%s: key %q: %w", context, id, ErrUnknownKey)
}

// bind makes the additional data: what the tag says is authenticated together with the place.
func (k ringKey) bind(context string) []byte { return []byte(sealVersion + "." + k.id + "." + context) }

// Current reports whether sealed was made with the newest secret. Those that were not keep a previous secret alive until
// they are sealed anew.
func (r *Keyring) Current(sealed string) bool {
	return strings.HasPrefix(sealed, sealVersion+"."+r.keys[0].id+".")
}

// MAC authenticates data under the newest secret. The label names the use: a MAC made for one never verifies for another.
func (r *Keyring) MAC(label string, data []byte) []byte { return r.keys[0].sum(label, data) }

// VerifyMAC reports, in constant time, whether mac was made by MAC under any secret of the ring.
func (r *Keyring) VerifyMAC(label string, data, mac []byte) bool {
	ok := false
	for _, k := range r.keys {
		ok = hmac.Equal(k.sum(label, data), mac) || ok
	}
	return ok
}

// sum puts the label's length first, so that no label and data together look like another pair.
func (k ringKey) sum(label string, data []byte) []byte {
	h := hmac.New(sha256.New, k.mac)
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(label))))
	h.Write([]byte(label))
	h.Write(data)
	return h.Sum(nil)
}
