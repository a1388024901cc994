package verify

import (
	"crypto/ed25519"
	"crypto/mldsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Signature types of C2SP signed-note and tlog-cosignature.
const (
	typeEd25519  = 0x01
	typeCosigned = 0x04
	typeSubtree  = 0x06
	stampBytes   = 8
)

// vkey is a verifier key taken apart, its id recomputed.
type vkey struct {
	text, name string
	id         uint32
	kind       byte
	public     string // the key's bytes, comparable
}

func parseVkey(text string) (vkey, error) {
	name, rest, _ := strings.Cut(text, "+")
	idText, keyText, ok := strings.Cut(rest, "+")
	if !ok {
		return vkey{}, errors.New("not <name>+<id>+<key>")
	}
	key, err := base64.StdEncoding.Strict().DecodeString(keyText)
	if err != nil || len(key) < 2 {
		return vkey{}, errors.New("the key is not base64")
	}
	for _, r := range []byte(name) {
		if r <= ' ' || r > '~' {
			return vkey{}, errors.New("the name is not printable ASCII")
		}
	}
	if name == "" || len(name) > 128 || strings.HasSuffix(name, "/") {
		return vkey{}, errors.New("the name is empty, longer than 128 bytes or ends with a slash")
	}
	sum := sha256.Sum256([]byte(name + "\n" + string(key)))
	id := binary.BigEndian.Uint32(sum[:4])
	if idText != fmt.Sprintf("%08x", id) {
		return vkey{}, fmt.Errorf("the key id must be %08x", id)
	}
	return vkey{text, name, id, key[0], string(key[1:])}, nil
}

// cosigner verifies a witness's lines. It is a note.Verifier, so that note.Open checks them with the log's own.
type cosigner struct {
	vkey
	check func(stamp uint64, text, signature []byte) bool
}

func newCosigner(key vkey) (*cosigner, error) {
	switch public := []byte(key.public); key.kind {
	case typeCosigned:
		if len(public) != ed25519.PublicKeySize {
			return nil, errors.New("not an Ed25519 key")
		}
		return &cosigner{key, func(stamp uint64, text, signature []byte) bool {
			signed := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", stamp, text)
			return len(signature) == ed25519.SignatureSize && ed25519.Verify(public, signed, signature)
		}}, nil
	case typeSubtree:
		lattice, err := mldsa.NewPublicKey(mldsa.MLDSA44(), public)
		if err != nil {
			return nil, errors.New("not an ML-DSA-44 key")
		}
		return &cosigner{key, func(stamp uint64, text, signature []byte) bool {
			head, err := parseCheckpoint(string(text))
			return err == nil && mldsa.Verify(lattice, cosignedMessage(key.name, stamp, head), signature, nil) == nil
		}}, nil
	}
	return nil, fmt.Errorf("keys of type %#02x are none of witnesses", key.kind)
}

// cosignedMessage is what an ML-DSA-44 cosignature signs: the structure of tlog-cosignature, from leaf 0 to the head's size.
func cosignedMessage(name string, stamp uint64, head Checkpoint) []byte {
	message := append([]byte("subtree/v1\n\x00"), byte(len(name)))
	message = append(message, name...)
	message = binary.BigEndian.AppendUint64(message, stamp)
	message = append(message, byte(len(head.Origin)))
	message = append(message, head.Origin...)
	message = binary.BigEndian.AppendUint64(message, 0)
	message = binary.BigEndian.AppendUint64(message, uint64(head.Size))
	return append(message, head.Root[:]...)
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.id }

func (c *cosigner) Verify(text, signature []byte) bool {
	if len(signature) <= stampBytes {
		return false
	}
	stamp := binary.BigEndian.Uint64(signature)
	return stamp <= math.MaxInt64 && c.check(stamp, text, signature[stampBytes:])
}

// cosignedAt reads the time of a line that was verified.
func cosignedAt(line note.Signature) (time.Time, error) {
	raw, err := base64.StdEncoding.DecodeString(line.Base64)
	if err != nil || len(raw) < 4+stampBytes {
		return time.Time{}, errors.New("no time in a cosignature of " + strconv.Quote(line.Name))
	}
	return time.Unix(int64(binary.BigEndian.Uint64(raw[4:])), 0).UTC(), nil
}
