package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/ssegateway/sse-gateway/client"
	"github.com/ssegateway/sse-gateway/sse"
)

// exampleServer sends one event per connection, cuts it, and ends at the third.
func exampleServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", sse.ContentType)
		switch r.Header.Get("Last-Event-ID") {
		case "":
			fmt.Fprint(w, "retry: 1\nid: 1\nevent: added\ndata: apples\n\nid: 2\ndata: unfini")
		case "1":
			fmt.Fprint(w, "id: 2\ndata: pears\n\n")
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
}

func ExampleClient_Run() {
	server := exampleServer()
	defer server.Close()

	c, err := client.New(server.URL, client.HTTPClient(server.Client()), client.ReadTimeout(45*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = c.Run(context.Background(), func(e sse.Event) error {
		fmt.Println(e.ID, e.Name(), e.Data)
		return nil
	})
	fmt.Println("ended:", err)
	// Output:
	// 1 added apples
	// 2 message pears
	// ended: <nil>
}

func ExampleClient_Events() {
	server := exampleServer()
	defer server.Close()

	c, err := client.New(server.URL, client.HTTPClient(server.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	for e, err := range c.Events(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
		break // closes the connection
	}
	fmt.Println("next time after", c.LastEventID())
	// Output:
	// apples
	// next time after 1
}

func ExampleByType() {
	server := exampleServer()
	defer server.Close()

	c, err := client.New(server.URL, client.HTTPClient(server.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = c.Run(context.Background(), client.ByType(map[string]func(sse.Event) error{
		"added":   func(e sse.Event) error { fmt.Println("added", e.Data); return nil },
		"message": func(e sse.Event) error { fmt.Println("untyped", e.Data); return nil },
	}))
	// Output:
	// added apples
	// untyped pears
}

// A query in the request's body, a token that is fetched for each connection, and a say in what is
// retried.
func ExampleFromRequest() {
	server := exampleServer()
	defer server.Close()

	req, err := http.NewRequest("POST", server.URL, strings.NewReader(`{"topic":["orders"]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")

	connects := 0
	c, err := client.FromRequest(req,
		client.HTTPClient(server.Client()),
		client.Logger(slog.New(slog.DiscardHandler)),
		client.Prepare(func(r *http.Request) error {
			connects++
			r.Header.Set("Authorization", fmt.Sprint("Bearer token-", connects))
			return nil
		}),
		client.OnError(func(err error) client.Decision {
			var refused *client.ResponseError
			switch {
			case errors.As(err, &refused) && refused.StatusCode == http.StatusUnauthorized:
				return client.Retry // with the next token
			case errors.Is(err, io.EOF):
				fmt.Println("the stream ended")
			}
			return client.Default
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = c.Run(context.Background(), func(e sse.Event) error {
		fmt.Println(e.Data)
		return nil
	})
	fmt.Println(connects, "connections,", err)
	// Output:
	// apples
	// the stream ended
	// pears
	// the stream ended
	// 3 connections, <nil>
}
