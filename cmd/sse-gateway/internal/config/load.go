package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// prefix begins all variables that are the gateway's own.
const prefix = "SSE_"

// Load reads the configuration from environ, in the form of os.Environ. An
// empty variable is one that is not set. Errors are *Error.
func Load(environ []string) (Config, error) {
	vars := variables()
	values, given, err := pick(environ, vars)
	if err != nil {
		return Config{}, err
	}
	c, err := env.ParseAsWithOptions[Config](env.Options{Environment: values})
	if err != nil {
		return Config{}, explain(err, vars, values)
	}
	c.given = given
	if err := c.checkRanges(vars, values); err != nil {
		return Config{}, err
	}
	return c, c.check()
}

// RequireAuth fails unless somebody has decided who may listen and publish.
func (c Config) RequireAuth() error {
	if c.Auth != "" || c.Dev {
		return nil
	}
	return &Error{"SSE_AUTH", "", "must be set: SSE_AUTH=anonymous lets everybody listen and publish, and nothing else is built yet; or SSE_DEV=true for a trial"}
}

// pick returns the values of the variables that the program knows, with the
// defaults of embedded mode put in, and refuses unknown ones with the prefix.
func pick(environ []string, vars []variable) (values map[string]string, given map[string]bool, err error) {
	values, given = make(map[string]string), make(map[string]bool)
	known := func(name string) bool {
		return slices.ContainsFunc(vars, func(v variable) bool { return v.name == name })
	}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case value == "":
		case known(name):
			values[name], given[name] = value, true
		case strings.HasPrefix(name, prefix) && !isServiceLink(name, value):
			return nil, nil, &Error{name, "", "is not a variable of sse-gateway: " + suggestion(name, vars)}
		}
	}
	if values["REDIS_URL"] == "" {
		for _, v := range vars {
			if v.embedded != "" && !given[v.name] {
				values[v.name] = v.embedded
			}
		}
	}
	return values, given, nil
}

// explain turns the first error of package env into one that names the
// variable and what it may be.
func explain(err error, vars []variable, values map[string]string) error {
	var pe env.ParseError
	if errors.As(err, &pe) {
		for _, v := range vars {
			if v.field == pe.Name {
				return &Error{v.name, values[v.name], "is not allowed: " + v.allowed()}
			}
		}
	}
	return err
}

// checkRanges holds every value against its allow tag.
func (c Config) checkRanges(vars []variable, values map[string]string) error {
	fields := reflect.ValueOf(c)
	for _, v := range vars {
		value, set := values[v.name]
		if set && !v.permits(fields.FieldByName(v.field)) {
			return &Error{v.name, value, "is not allowed: " + v.allowed()}
		}
	}
	return nil
}

// check holds what depends on more than a range.
func (c Config) check() error {
	for _, a := range []struct{ name, value string }{
		{"SSE_ADDR", c.Addr}, {"SSE_OPS_ADDR", c.OpsAddr}, {"SSE_EMBEDDED_ADDR", c.EmbeddedAddr},
	} {
		if !isAddr(a.value) {
			return &Error{a.name, a.value, "is not allowed: host:port or :port, such as :8080 or 127.0.0.1:8080"}
		}
	}
	for _, o := range c.AllowedOrigins {
		if o != "*" && !isOrigin(o) {
			return &Error{"SSE_ALLOWED_ORIGINS", o, "is not allowed: origins such as https://shop.example or http://localhost:5173, separated by commas, without a path; or *"}
		}
	}
	if !isPrefix(c.RedisPrefix) {
		return &Error{"SSE_REDIS_PREFIX", c.RedisPrefix, `is not allowed: 1 to 64 printable ASCII characters, none of space * ? [ ] { } ~ \`}
	}
	if c.RetryMin > c.RetryMax {
		return &Error{"SSE_RETRY_MIN", c.RetryMin.String(), "is not allowed: at most SSE_RETRY_MAX, which is " + c.RetryMax.String()}
	}
	if c.RingBytes > c.PodBytes {
		return &Error{"SSE_RING_BYTES", c.RingBytes.String(), "is not allowed: at most SSE_RING_TOTAL_BYTES, which is " + c.PodBytes.String()}
	}
	if sum := c.LameDuck + c.DrainWindow; sum > c.ShutdownTimeout {
		return &Error{"SSE_SHUTDOWN_TIMEOUT", c.ShutdownTimeout.String(), fmt.Sprintf(
			"is not allowed: at least SSE_LAME_DUCK and SSE_DRAIN_WINDOW together, which is %s", sum)}
	}
	if c.RedisURL != "" {
		if _, err := ParseRedis(c.RedisURL); err != nil {
			return err
		}
	}
	return nil
}

func isAddr(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && s == u.Scheme+"://"+u.Host
}

func isPrefix(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte(`*?[]{}~\`, s[i]) >= 0 {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// permits reports whether a parsed value obeys the allow tag.
func (v variable) permits(value reflect.Value) bool {
	if v.allow == "" {
		return true
	}
	least, greatest, isRange := strings.Cut(v.allow, "..")
	if !isRange {
		return slices.Contains(strings.Split(v.allow, "|"), value.String())
	}
	n := value.Int()
	return n >= v.number(least) && n <= v.number(greatest)
}

// number reads a bound of an allow tag in the variable's own type.
func (v variable) number(s string) int64 {
	switch v.typ {
	case reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(s)
		must(err)
		return int64(d)
	case reflect.TypeFor[Bytes]():
		var b Bytes
		must(b.UnmarshalText([]byte(s)))
		return int64(b)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	must(err)
	return n
}

// must is for what the tags in this package say, which a test reads whole.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
