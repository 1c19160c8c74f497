package config

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Bytes is a number of bytes, written 1048576, 1024KiB, 1MiB or 1GiB.
type Bytes int64

var byteUnits = []struct {
	suffix string
	size   int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

// UnmarshalText reads a number with or without a unit.
func (b *Bytes) UnmarshalText(text []byte) error {
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(string(text), u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 || n > (1<<63-1)/u.size {
			return errors.New("not a size")
		}
		*b = Bytes(n * u.size)
		return nil
	}
	return errors.New("not a size") // not reached: the last unit fits all
}

// String returns the shortest form.
func (b Bytes) String() string {
	for _, u := range byteUnits {
		if n := int64(b); n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.suffix
		}
	}
	return "0"
}

// Attribute is a key and a value of the process that metrics describe.
type Attribute struct{ Key, Value string }

// Attributes is a list in the form of OTEL_RESOURCE_ATTRIBUTES: key=value
// separated by commas, values percent-encoded (OpenTelemetry resource SDK).
type Attributes []Attribute

// UnmarshalText reads the list.
func (a *Attributes) UnmarshalText(text []byte) error {
	for pair := range strings.SplitSeq(string(text), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		v, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || key == "" || err != nil {
			return fmt.Errorf("not key=value: %q", pair)
		}
		*a = append(*a, Attribute{key, v})
	}
	return nil
}
