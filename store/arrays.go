package store

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// writeArraysPlainly has the columns of a statement of many written in one go. pgx writes any list of anything, value by value: for
// groups of records that was a third of what this program does for them.
func writeArraysPlainly(conn *pgx.Conn) {
	types := conn.TypeMap()
	for _, oid := range []uint32{pgtype.TextArrayOID, pgtype.Int8ArrayOID, pgtype.BoolArrayOID, pgtype.TimestamptzArrayOID} {
		array, _ := types.TypeForOID(oid) // pgx has them all
		types.RegisterType(&pgtype.Type{Name: array.Name, OID: oid, Codec: plainArrays{array.Codec}})
	}
}

// plainArrays is pgx's codec of an array but for the lists that queryMany takes.
type plainArrays struct{ pgtype.Codec }

func (c plainArrays) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		switch value.(type) {
		case []string:
			return plainArray[string]{pgtype.TextOID, sizeOfTexts, appendTextValue}
		case []int64:
			return plainArray[int64]{pgtype.Int8OID, sizeOfNumbers[int64], appendIntValue}
		case []bool:
			return plainArray[bool]{pgtype.BoolOID, sizeOfNumbers[bool], appendBoolValue}
		case []time.Time:
			return plainArray[time.Time]{pgtype.TimestamptzOID, sizeOfNumbers[time.Time], appendTimeValue}
		case []*time.Time:
			return plainArray[*time.Time]{pgtype.TimestamptzOID, sizeOfNumbers[*time.Time], appendMaybeTimeValue}
		}
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

// A plainArray writes a list as PostgreSQL's array_recv reads it: dimensions, whether there are nulls, the type of the elements, their
// number, where they begin, and each with its length before it.
type plainArray[T any] struct {
	element uint32
	size    func(list []T) int // at most
	append  func(buf []byte, value T) []byte
}

func (a plainArray[T]) Encode(value any, buf []byte) ([]byte, error) {
	list := value.([]T)
	buf = slices.Grow(buf, 20+a.size(list))
	for _, head := range []uint32{1, 1, a.element, uint32(len(list)), 1} {
		buf = binary.BigEndian.AppendUint32(buf, head)
	}
	for _, v := range list {
		buf = a.append(buf, v)
	}
	return buf, nil
}

func sizeOfTexts(list []string) (size int) {
	for _, text := range list {
		size += 4 + len(text)
	}
	return size
}

func sizeOfNumbers[T any](list []T) int { return 12 * len(list) }

func appendTextValue(buf []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32(buf, uint32(len(text))), text...)
}

func appendIntValue(buf []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(buf, 8), uint64(n))
}

func appendBoolValue(buf []byte, yes bool) []byte {
	buf = binary.BigEndian.AppendUint32(buf, 1)
	if yes {
		return append(buf, 1)
	}
	return append(buf, 0)
}

// postgresEpoch is from where PostgreSQL counts microseconds.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

func appendTimeValue(buf []byte, t time.Time) []byte {
	return appendIntValue(buf, t.UnixMicro()-postgresEpoch)
}

func appendMaybeTimeValue(buf []byte, t *time.Time) []byte {
	if t == nil {
		return binary.BigEndian.AppendUint32(buf, 0xffff_ffff) // the length of NULL
	}
	return appendTimeValue(buf, *t)
}
