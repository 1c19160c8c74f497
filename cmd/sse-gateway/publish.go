package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/ssegateway/sse-gateway/cmd/sse-gateway/internal/config"
	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// defaultURL is where a gateway listens that was started without settings.
const defaultURL = "http://localhost:8080"

// publishTimeout bounds all of one publish; the waits within are shorter.
const publishTimeout = 30 * time.Second

func (p process) publishCommand() *cli.Command {
	return &cli.Command{
		Name:      "publish",
		Usage:     "publish one event and print its id",
		UsageText: "sse-gateway publish [--event TYPE] [--url URL] TOPIC [DATA]\nsse-gateway publish TOPIC <file",
		Description: "The data is DATA, or --data, or all of the standard input, without its last line\n" +
			"end. Write -- before data that begins with a dash. With REDIS_URL the event is\n" +
			"added to the stream directly, which is kept to about SSE_MAXLEN entries; without,\n" +
			"or with --url, a gateway is asked to add it.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "event", Aliases: []string{"e"}, Usage: "type of the event; message if not given"},
			&cli.StringFlag{Name: "data", Aliases: []string{"d"}, Usage: "data of the event"},
			&cli.StringFlag{Name: "url", Usage: "address of the gateway to publish through (without REDIS_URL: " + defaultURL + ")"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if !c.Args().Present() {
				return usagef("publish needs a topic (see sse-gateway publish --help)")
			}
			topic, err := stream.ParseTopic(c.Args().First())
			if err != nil {
				return usagef("%v", err)
			}
			if c.NArg() > 2 || c.NArg() == 2 && c.IsSet("data") {
				return usagef("publish takes a topic and its data once: quote data that contains spaces")
			}
			m := stream.Message{Event: c.String("event"), Data: cmp.Or(c.String("data"), c.Args().Get(1))}
			ctx, stop := p.untilSignal(ctx)
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, publishTimeout)
			defer cancel()
			if c.NArg() == 1 && !c.IsSet("data") {
				if m.Data, err = p.readInput(ctx); err != nil {
					return err
				}
			}
			id, err := p.publish(ctx, c.String("url"), topic, m)
			if err != nil {
				return cmp.Or(endedBy(ctx), err)
			}
			_, err = fmt.Fprintln(p.stdout, id)
			return err
		},
	}
}

// endedBy returns the *signalError that ended ctx, or nil.
func endedBy(ctx context.Context) error {
	var s *signalError
	if errors.As(context.Cause(ctx), &s) {
		return s
	}
	return nil
}

// readInput reads the standard input to its end, or until ctx is done.
func (p process) readInput(ctx context.Context) (string, error) {
	if isTerminal(p.stdin) {
		fmt.Fprintln(p.stderr, "reading the data from the terminal; end it with Ctrl-D")
	}
	type input struct {
		data []byte
		err  error
	}
	read := make(chan input, 1)
	go func() { // a read cannot be interrupted; it ends with the process
		data, err := io.ReadAll(p.stdin)
		read <- input{data, err}
	}()
	select {
	case in := <-read:
		return strings.TrimSuffix(strings.TrimSuffix(string(in.data), "\n"), "\r"), in.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func (p process) publish(ctx context.Context, baseURL string, t stream.Topic, m stream.Message) (stream.ID, error) {
	cfg, err := config.Load(p.environ)
	if err != nil {
		return stream.ID{}, err
	}
	if baseURL != "" || cfg.Embedded() {
		return publishThrough(ctx, cmp.Or(baseURL, defaultURL), t, m)
	}
	r, err := config.ParseRedis(cfg.RedisURL)
	if err != nil {
		return stream.ID{}, err
	}
	rdb := r.Client(1)
	defer func() { _ = rdb.Close() }()
	keys := stream.Keys{Prefix: cfg.RedisPrefix, DB: r.DB()}
	id, err := replayer.NewRedis(rdb, keys, replayerOptions(cfg)).Store(ctx, t, m)
	if err != nil {
		return stream.ID{}, fmt.Errorf("not published to %s: %w", r, err)
	}
	return id, nil
}

// publishThrough asks a gateway to publish.
func publishThrough(ctx context.Context, baseURL string, t stream.Topic, m stream.Message) (stream.ID, error) {
	query := url.Values{"topic": {string(t)}}
	if m.Event != "" {
		query.Set("event", m.Event)
	}
	target, err := gatewayURL(baseURL, "/publish", query)
	if err != nil {
		return stream.ID{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(m.Data))
	if err != nil {
		return stream.ID{}, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return stream.ID{}, fmt.Errorf("not published: %w", withoutQuery(err))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return stream.ID{}, fmt.Errorf("perhaps published, the answer broke off: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return stream.ID{}, fmt.Errorf("not published: %s answers %s: %s", baseURL, resp.Status, reason(body))
	}
	var answer struct{ ID stream.ID }
	if err := json.Unmarshal(body, &answer); err != nil || answer.ID.IsZero() {
		return stream.ID{}, fmt.Errorf("%s answers 200 without an id: is it a gateway?", baseURL)
	}
	return answer.ID, nil
}

// gatewayURL returns the address of a path on the gateway's public port.
func gatewayURL(base, path string, query url.Values) (string, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", usagef("--url is not an address such as %s", defaultURL)
	}
	u = u.JoinPath(path)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// withoutQuery takes off what net/http wraps around errors, which repeats the
// whole URL.
func withoutQuery(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// reason returns what an error answer says (RFC 9457), or its first line.
func reason(body []byte) string {
	var problem struct{ Detail string }
	if json.Unmarshal(body, &problem) == nil && problem.Detail != "" {
		return problem.Detail
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return line
}
