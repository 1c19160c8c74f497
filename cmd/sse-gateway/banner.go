package main

import (
	"fmt"
	"net"

	"github.com/ssegateway/sse-gateway/cmd/sse-gateway/internal/config"
)

// printBanner shows what to type next to somebody who started the gateway for
// a first look.
func (p process) printBanner(cfg config.Config, redis *config.Redis, public, ops net.Addr) {
	host, port, _ := net.SplitHostPort(redis.Addr())
	cli := "redis-cli -p " + port
	if host != "127.0.0.1" {
		cli = "redis-cli -h " + host + " -p " + port
	}
	base := "http://" + reachable(public.String())
	fmt.Fprintf(p.stdout, `
Redis is built in, in memory, on %[1]s. Nothing is kept; REDIS_URL names a real one.

  listen   curl -N '%[2]s/events?topic=orders'
  publish  %[3]s XADD %[4]sorders '*' event paid data '{"n":1}'
      or   curl -d '{"n":2}' '%[2]s/publish?topic=orders&event=paid'
  health   http://%[5]s/readyz
  stop     Ctrl-C

`, redis.Addr(), base, cli, cfg.RedisPrefix, reachable(ops.String()))
}
