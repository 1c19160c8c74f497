package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/ssegateway/sse-gateway/client"
	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

func (p process) subscribeCommand() *cli.Command {
	return &cli.Command{
		Name:      "subscribe",
		Usage:     "listen to topics and print their events; comes back when the connection breaks",
		UsageText: "sse-gateway subscribe [--since 5m | --last N | --last-event-id ID] [--json] TOPIC…",
		Description: "Prints topic, id, type and data of each event in a line, and what it has to say\n" +
			"itself on the standard error. Ends when all topics are closed, or with Ctrl-C.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "url", Value: defaultURL, Usage: "address of the gateway"},
			&cli.StringFlag{Name: "since", Usage: "begin in the past: earliest, a duration such as 5m, RFC 3339 or Unix milliseconds"},
			&cli.IntFlag{Name: "last", Usage: "begin with the newest N events of each topic"},
			&cli.StringFlag{Name: "last-event-id", Usage: "continue after this cursor (the \"cursor\" of --json)"},
			&cli.BoolFlag{Name: "json", Usage: "print each event, control events included, as a JSON object in a line"},
			&cli.IntFlag{Name: "count", Aliases: []string{"n"}, Usage: "end after N events"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			query, err := subscription(c)
			if err != nil {
				return err
			}
			target, err := gatewayURL(c.String("url"), "/events", query)
			if err != nil {
				return err
			}
			ctx, stop := p.untilSignal(ctx)
			defer stop()
			out := printer{p: p, json: c.Bool("json"), left: c.Int("count")}
			err = out.follow(ctx, target, c.String("last-event-id"))
			if endedBy(ctx) != nil {
				return nil // Ctrl-C is how this command ends
			}
			return err
		},
	}
}

// subscription returns the parameters of GET /events for the command line.
func subscription(c *cli.Command) (url.Values, error) {
	if !c.Args().Present() {
		return nil, usagef("subscribe needs at least one topic (see sse-gateway subscribe --help)")
	}
	// The envelope tells which topic an event is of.
	query := url.Values{"envelope": {"json"}}
	for _, arg := range c.Args().Slice() {
		t, err := stream.ParseTopic(arg)
		if err != nil {
			return nil, usagef("%v", err)
		}
		query.Add("topic", string(t))
	}
	begins := 0
	for _, name := range []string{"since", "last", "last-event-id"} {
		if c.IsSet(name) {
			begins++
		}
	}
	switch {
	case begins > 1:
		return nil, usagef("--since, --last and --last-event-id exclude each other")
	case c.Int("last") < 0 || c.Int("count") < 0:
		return nil, usagef("--last and --count are not negative")
	case c.IsSet("since"):
		query.Set("since", c.String("since"))
	case c.IsSet("last"):
		query.Set("last", strconv.Itoa(c.Int("last")))
	}
	return query, nil
}

// printer prints what a stream brings.
type printer struct {
	p    process
	json bool
	left int // events until the end; 0 is without end

	connected bool // at least once
}

// openEvent is the first event of every stream.
const openEvent = stream.ControlPrefix + "open"

// envelope is the data of an event on a stream with envelope=json.
type envelope struct {
	Topic string `json:"topic"`
	ID    string `json:"id"`
	Event string `json:"event"`
	Data  string `json:"data"`
}

// follow prints events until the topics are closed, the count is reached or
// ctx ends.
func (out *printer) follow(ctx context.Context, target, lastEventID string) error {
	options := []client.Option{
		client.HTTPClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}),
		client.OnError(out.lost),
		client.OnOpen(func(*http.Response) { out.connected = true }),
		client.ReadTimeout(silence),
	}
	if lastEventID != "" {
		options = append(options, client.InitialID(lastEventID))
	}
	c, err := client.New(target, options...)
	if err != nil {
		return usagef("%v", err)
	}
	err = c.Run(ctx, out.print)
	var refused *client.ResponseError
	if errors.As(err, &refused) && refused.StatusCode != http.StatusOK {
		return fmt.Errorf("the gateway answers %d %s: %s", refused.StatusCode, http.StatusText(refused.StatusCode), reason([]byte(refused.Body)))
	}
	return err
}

// silence is how long a stream may bring nothing, not even a heartbeat.
const silence = time.Minute

// lost tells people about a connection that broke, and leaves it to the
// client what to do about it: one that never was is not made again.
func (out *printer) lost(err error) client.Decision {
	if out.connected {
		fmt.Fprintln(out.p.stderr, "connection lost, coming back:", err)
	}
	return client.Default
}

func (out *printer) print(e sse.Event) error {
	if strings.HasPrefix(e.Type, stream.ControlPrefix) {
		return out.printControl(e)
	}
	var env envelope
	if err := json.Unmarshal([]byte(e.Data), &env); err != nil {
		return fmt.Errorf("an event without the envelope that was asked for: is this a gateway? (%w)", err)
	}
	var err error
	if out.json {
		err = out.printJSON(struct {
			envelope
			Cursor string `json:"cursor"`
		}{env, e.ID})
	} else {
		_, err = fmt.Fprintf(out.p.stdout, "%s\t%s\t%s\t%s\n", env.Topic, env.ID, env.Event, env.Data)
	}
	if out.left > 0 && err == nil {
		if out.left--; out.left == 0 {
			return client.ErrStop
		}
	}
	return err
}

// printControl prints what the gateway says about the stream itself.
func (out *printer) printControl(e sse.Event) error {
	if out.json {
		data := json.RawMessage(e.Data)
		if !json.Valid(data) {
			data = nil
		}
		return out.printJSON(struct {
			Event  string          `json:"event"`
			Data   json.RawMessage `json:"data"`
			Cursor string          `json:"cursor"`
		}{e.Type, data, e.ID})
	}
	line := e.Type + " " + e.Data
	if e.Type == openEvent {
		line = "connected"
	}
	_, err := fmt.Fprintln(out.p.stderr, line)
	return err
}

func (out *printer) printJSON(v any) error {
	enc := json.NewEncoder(out.p.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
