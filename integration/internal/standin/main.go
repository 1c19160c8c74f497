// Command standin is the smallest gateway that keeps the promise, one XREAD
// BLOCK for each connection, and that breaks it when told to. With it the
// tests are tested: the proof must pass on the honest one, and must catch
// each of the others.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/ssegateway/sse-gateway/sse"
)

// What STANDIN_DEFECT can be.
const (
	loses   = "lose"    // an event is left out on resuming
	doubles = "double"  // an event comes again on resuming
	forgets = "forget"  // resuming with nothing received begins at the head
	alters  = "alter"   // the data of some events differ
	invents = "control" // a control event where nothing happened
	ends    = "end"     // a clean end instead of an abort
)

func main() {
	opts, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		slog.Error("REDIS_URL", "err", err)
		os.Exit(1)
	}
	redis.SetLogger(&logging.VoidLogger{})
	opts.MaxRetries, opts.PoolSize = -1, 2000
	s := &server{rdb: redis.NewClient(opts), defect: os.Getenv("STANDIN_DEFECT")}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))

	public, ops := http.NewServeMux(), http.NewServeMux()
	public.HandleFunc("GET /events", s.events)
	public.HandleFunc("POST /publish", s.publish)
	ops.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := s.rdb.Ping(r.Context()).Err(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	go func() { // what a pod owes SIGTERM is exit code 0; the streams just break
		term := make(chan os.Signal, 1)
		signal.Notify(term, syscall.SIGTERM)
		<-term
		os.Exit(0)
	}()
	failed := make(chan error)
	for name, h := range map[string]http.Handler{"public": public, "ops": ops} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Error("listen", "err", err)
			os.Exit(1)
		}
		log.Info("listening", "server", name, "addr", l.Addr().String())
		srv := &http.Server{Handler: h, Protocols: new(http.Protocols)}
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
		go func() { failed <- srv.Serve(l) }()
	}
	log.Error("serve", "err", <-failed)
	os.Exit(1)
}

type server struct {
	rdb    *redis.Client
	defect string
}

func (s *server) publish(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	fields := []any{"event", r.FormValue("event"), "data", data}
	id, err := s.rdb.XAdd(r.Context(), &redis.XAddArgs{Stream: "sse:" + r.URL.Query().Get("topic"), Values: fields}).Result()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"id": id})
}

// events serves one connection.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", sse.ContentType)
	flush := http.NewResponseController(w).Flush
	_ = flush()
	topics := r.URL.Query()["topic"]
	at := s.begin(r, topics)
	if at == nil {
		return
	}
	enc := sse.NewEncoder(w)
	send := func(e sse.Event) bool { return enc.Encode(e) == nil && flush() == nil }
	if !send(sse.Event{ID: cursor(topics[0], at), Type: "gateway.open", Data: "{}", Retry: time.Second}) {
		return
	}
	if s.defect == invents && r.Header.Get("Last-Event-ID") != "" && !send(sse.Event{Type: "gateway.gap", Data: "{}"}) {
		return
	}
	// A blocking read outlives a client that goes away, but not for long.
	for r.Context().Err() == nil {
		args := &redis.XReadArgs{Block: time.Second}
		for _, t := range topics {
			args.Streams = append(args.Streams, "sse:"+t)
		}
		for _, t := range topics {
			args.Streams = append(args.Streams, at[t])
		}
		read, err := s.rdb.XRead(r.Context(), args).Result()
		if err != nil && err != redis.Nil {
			time.Sleep(20 * time.Millisecond) // Redis is away
			continue
		}
		for _, stream := range read {
			topic := strings.TrimPrefix(stream.Stream, "sse:")
			for _, m := range stream.Messages {
				at[topic] = m.ID
				event, _ := m.Values["event"].(string)
				data, _ := m.Values["data"].(string)
				if s.defect == alters && strings.HasSuffix(m.ID, "7-0") {
					data += " "
				}
				if s.defect == ends && strings.HasSuffix(m.ID, "77-0") || !send(sse.Event{ID: cursor(topic, at), Type: event, Data: data}) {
					return
				}
			}
		}
	}
}

// begin finds the positions that a request begins at; nil if the client left.
func (s *server) begin(r *http.Request, topics []string) map[string]string {
	at := make(map[string]string, len(topics))
	for _, t := range topics {
		at[t] = "0-0"
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		plain, vector, several := strings.Cut(last, ".")
		if several {
			b, _ := base64.RawURLEncoding.DecodeString(vector)
			var held map[string]string
			_ = json.Unmarshal(b, &held)
			maps.Copy(at, held)
		} else {
			at[topics[0]] = plain
		}
		s.disturb(r.Context(), topics[0], at)
		return at
	}
	for _, t := range topics {
		for r.URL.Query().Get("since") != "earliest" {
			newest, err := s.rdb.XRevRangeN(r.Context(), "sse:"+t, "+", "-", 1).Result()
			if r.Context().Err() != nil {
				return nil
			}
			if err != nil {
				time.Sleep(20 * time.Millisecond) // Redis is away
				continue
			}
			if len(newest) > 0 {
				at[t] = newest[0].ID
			}
			break
		}
	}
	return at
}

// disturb does the damage that the stand-in was told to do on resuming.
func (s *server) disturb(ctx context.Context, topic string, at map[string]string) {
	switch s.defect {
	case loses:
		if next, _ := s.rdb.XRangeN(ctx, "sse:"+topic, "("+at[topic], "+", 1).Result(); len(next) > 0 {
			at[topic] = next[0].ID
		}
	case doubles:
		if last, _ := s.rdb.XRevRangeN(ctx, "sse:"+topic, at[topic], "-", 2).Result(); len(last) == 2 {
			at[topic] = last[1].ID
		}
	case forgets:
		if newest, _ := s.rdb.XRevRangeN(ctx, "sse:"+topic, "+", "-", 1).Result(); len(newest) > 0 && at[topic] == "0-0" {
			at[topic] = newest[0].ID
		}
	}
}

// cursor is the id after an event of topic.
func cursor(topic string, at map[string]string) string {
	if len(at) == 1 {
		return at[topic]
	}
	b, err := json.Marshal(at)
	if err != nil {
		panic(fmt.Sprint("a map of strings is always JSON: ", err))
	}
	return at[topic] + "." + base64.RawURLEncoding.EncodeToString(b)
}
