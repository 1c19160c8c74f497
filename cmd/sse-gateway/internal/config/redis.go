package config

import (
	"maps"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Redis is where Redis is, read from REDIS_URL. There are three forms, those
// of go-redis:
//
//	one node  redis://user:password@host:6379/0   rediss:// for TLS, unix:///path?db=0
//	Cluster   redis://host:6379?cluster=true      or further seeds: ?addr=host2:6379&addr=…
//	Sentinel  redis://sentinel:26379/0?master_name=mymaster&addr=sentinel2:26379&password=…
type Redis struct {
	form  string // one of the forms above
	db    int
	url   url.URL    // as given, without what follows
	query url.Values // the parameters that go-redis knows
}

const (
	oneNode  = "one node"
	cluster  = "cluster"
	sentinel = "sentinel"
)

const schemes = "must begin with redis://, rediss:// (TLS) or unix:// (one node only)"

// Parameters that would read from replicas. A replica lags behind: a position
// that was proven on one node may not exist yet on the next.
var replicaReads = []string{"read_only", "route_by_latency", "route_by_latency_tolerance", "route_randomly", "replica_only", "use_disconnected_replicas"}

// ParseRedis reads REDIS_URL. Errors are *Error and never contain any of it:
// what is wrong with a URL is often that its password reaches into other parts.
func ParseRedis(rawURL string) (*Redis, error) {
	wrong := func(problem string) (*Redis, error) { return nil, &Error{"REDIS_URL", "", problem} }
	if !strings.Contains(rawURL, "://") {
		return wrong(schemes)
	}
	u, err := url.Parse(rawURL)
	if err != nil || strings.ContainsAny(u.Path+u.Fragment, "@") || u.Fragment != "" || u.Opaque != "" {
		return wrong("is not a URL such as redis://user:password@host:6379/0: in the password write %40 for @, %2F for /, %3A for :, %3F for ?, %23 for #")
	}
	query := u.Query()
	r := &Redis{form: oneNode, url: *u, query: query}
	if set := query.Get("cluster"); set != "" {
		isCluster, err := strconv.ParseBool(set)
		if err != nil {
			return wrong("has a cluster parameter that is neither true nor false")
		}
		if isCluster {
			r.form = cluster
		}
		query.Del("cluster")
	}
	switch {
	case query.Get("master_name") != "" && r.form == cluster:
		return wrong("has both cluster=true and master_name: a Cluster needs no Sentinel")
	case query.Get("master_name") != "":
		r.form = sentinel
	case query.Has("addr"):
		r.form = cluster
	}
	switch {
	case u.Scheme == "unix" && r.form == oneNode:
	case u.Scheme != "redis" && u.Scheme != "rediss":
		return wrong(schemes)
	case u.Hostname() == "":
		return wrong("names no host: redis://host:6379")
	}
	if u.Scheme != "unix" {
		path := strings.Trim(u.Path, "/")
		db, err := strconv.ParseUint(path, 10, 16)
		if path != "" && err != nil {
			return wrong("has a path that is not the number of a database, such as /0")
		}
		r.db = int(db)
	}
	if query.Has("db") {
		db, err := strconv.ParseUint(query.Get("db"), 10, 16)
		if err != nil {
			return wrong("has a db parameter that is not the number of a database")
		}
		r.db = int(db)
	}
	if r.form == cluster && r.db != 0 {
		return wrong("names a database, but Redis Cluster has only database 0")
	}
	for _, p := range replicaReads {
		if query.Has(p) {
			return wrong("has the parameter " + p + ": the gateway reads from masters only, a replica may lag behind what clients have seen")
		}
	}
	for name := range query {
		if !isParameter(name) {
			return wrong("has a parameter whose name is not one of go-redis's")
		}
	}
	if _, err := r.prepare(0); err != nil {
		// go-redis names the parameter, and some values; the password is none of them.
		return wrong("is not accepted: " + strings.TrimPrefix(err.Error(), "redis: "))
	}
	return r, nil
}

// isParameter keeps what cannot be a name, perhaps the rest of a password,
// out of error messages.
func isParameter(name string) bool {
	return !strings.ContainsFunc(name, func(c rune) bool { return c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') })
}

// Addr returns host:port of the first node that the URL names.
func (r *Redis) Addr() string {
	if r.url.Port() != "" {
		return r.url.Host
	}
	return net.JoinHostPort(r.url.Hostname(), "6379")
}

// DB returns the number of the database, 0 in Cluster.
func (r *Redis) DB() int { return r.db }

// String returns the URL without its secrets.
func (r *Redis) String() string {
	u := r.url
	query := u.Query()
	if query.Has("password") {
		query.Set("password", "xxxxx")
		u.RawQuery = query.Encode()
	}
	return u.Redacted()
}

// timeouts bound every wait for Redis. Nothing is retried below the parts that
// know what a retry means: a blind one would store an event twice.
var timeouts = map[string]string{
	"max_retries":   "-1",
	"dial_timeout":  "3s",
	"read_timeout":  "3s",
	"write_timeout": "3s",
	"pool_timeout":  "4s",
}

// Client returns a client with at most poolSize connections, or as many as
// the URL or go-redis say if poolSize is 0. It does not connect yet.
func (r *Redis) Client(poolSize int) redis.UniversalClient {
	open, err := r.prepare(poolSize)
	must(err) // ParseRedis has tried
	return open()
}

// prepare has go-redis read the URL. What the URL sets goes before the
// gateway's own time-outs.
func (r *Redis) prepare(poolSize int) (open func() redis.UniversalClient, err error) {
	u, query := r.url, maps.Clone(r.query)
	for name, value := range timeouts {
		if !query.Has(name) {
			query.Set(name, value)
		}
	}
	if poolSize > 0 {
		query.Set("pool_size", strconv.Itoa(poolSize))
		query.Del("min_idle_conns")
	}
	u.RawQuery = query.Encode()
	// Maintenance notices would move connections behind the back of the
	// broadcaster, which watches what each of its connections is told.
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	const dials = 1 // who needs the connection tries again
	switch r.form {
	case cluster:
		o, err := redis.ParseClusterURL(u.String())
		if err != nil {
			return nil, err
		}
		o.ContextTimeoutEnabled, o.DialerRetries, o.MaintNotificationsConfig = true, dials, quiet
		return func() redis.UniversalClient { return redis.NewClusterClient(o) }, nil
	case sentinel:
		o, err := redis.ParseFailoverURL(u.String())
		if err != nil {
			return nil, err
		}
		o.ContextTimeoutEnabled, o.DialerRetries = true, dials
		return func() redis.UniversalClient { return redis.NewFailoverClient(o) }, nil
	}
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, err
	}
	o.ContextTimeoutEnabled, o.DialerRetries, o.MaintNotificationsConfig = true, dials, quiet
	return func() redis.UniversalClient { return redis.NewClient(o) }, nil
}
