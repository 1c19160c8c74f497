package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/ssegateway/sse-gateway/cmd/sse-gateway/internal/config"
	"github.com/ssegateway/sse-gateway/cmd/sse-gateway/internal/ops"
)

func (p process) healthcheckCommand() *cli.Command {
	return &cli.Command{
		Name:      "healthcheck",
		Usage:     "ask a running gateway whether it is ready; exit code 0 or 1",
		UsageText: "sse-gateway healthcheck [--live] [--url http://host:9090]",
		Description: "Asks /readyz on the ops port, that of SSE_OPS_ADDR unless --url is given, and\n" +
			"prints one line. For container health checks, in images that have no curl.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "url", Usage: "address of the ops port"},
			&cli.BoolFlag{Name: "live", Usage: "ask /livez: is the process alive, whatever it waits for"},
			&cli.DurationFlag{Name: "timeout", Value: 3 * time.Second, Usage: "how long to wait for the answer"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return usagef("healthcheck takes no arguments, see sse-gateway healthcheck --help")
			}
			base := c.String("url")
			if base == "" {
				cfg, err := config.Load(p.environ)
				if err != nil {
					return err
				}
				base = "http://" + reachable(cfg.OpsAddr)
			}
			ctx, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
			defer cancel()
			said, err := askHealth(ctx, base, c.Bool("live"))
			if err == nil {
				_, err = fmt.Fprintln(p.stdout, said)
			}
			return err
		},
	}
}

// reachable turns an address to listen on into one to connect to.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if host == "" {
		host = "127.0.0.1"
	} else if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = map[bool]string{true: "127.0.0.1", false: "::1"}[ip.To4() != nil]
	}
	return net.JoinHostPort(host, port)
}

// askHealth returns one line if the gateway is well, an error if it is not.
func askHealth(ctx context.Context, base string, live bool) (string, error) {
	path := "/readyz"
	if live {
		path = "/livez"
	}
	target, err := url.JoinPath(base, path)
	if err != nil {
		return "", usagef("--url is not an address such as http://127.0.0.1:9090")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return "", usagef("--url is not an address such as http://127.0.0.1:9090")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("not healthy: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if live && resp.StatusCode == http.StatusOK {
		return "alive", nil
	}
	var r ops.Readiness
	err = json.NewDecoder(resp.Body).Decode(&r)
	if live || err != nil || !r.Ready && resp.StatusCode != http.StatusServiceUnavailable {
		return "", fmt.Errorf("not healthy: %s answers %s, which is not the ops port of a gateway", target, resp.Status)
	}
	if !r.Ready {
		return "", errors.New("not ready: " + r.Reason)
	}
	if r.Way != "" {
		return "ready: hears of new events by " + r.Way, nil
	}
	return "ready", nil
}
