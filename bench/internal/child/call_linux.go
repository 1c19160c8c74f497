package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// Request is one line to a process that was started with StartPiped.
type Request struct {
	ID   int             `json:"id"`
	Body json.RawMessage `json:"body"`
}

// Reply is its line back. Replies may come in another order than requests.
type Reply struct {
	ID    int             `json:"id"`
	Error string          `json:"error,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`
}

// Caller sends requests to a process. It may be used concurrently.
type Caller struct {
	*Process

	mu      sync.Mutex
	next    int
	waiting map[int]chan Reply
	ended   bool
}

// NewCaller takes the process's pipes over.
func NewCaller(p *Process) *Caller {
	c := &Caller{Process: p, waiting: make(map[int]chan Reply)}
	go c.read()
	return c
}

func (c *Caller) read() {
	lines := bufio.NewScanner(c.out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r Reply
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			continue // a panic, say: what it was is seen by those who wait in vain
		}
		c.mu.Lock()
		if ch := c.waiting[r.ID]; ch != nil {
			ch <- r
			delete(c.waiting, r.ID)
		}
		c.mu.Unlock()
	}
	c.wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for _, ch := range c.waiting {
		close(ch)
	}
}

// Call sends a request and waits for the answer.
func (c *Caller) Call(ctx context.Context, body, answer any) error {
	ch := make(chan Reply, 1)
	if err := c.send(body, ch); err != nil {
		return fmt.Errorf("ask %s: %w", c.Name, err)
	}
	select {
	case r, ok := <-ch:
		switch {
		case !ok:
			return fmt.Errorf("%s has ended: %s", c.Name, c.Said())
		case r.Error != "":
			return fmt.Errorf("%s: %s", c.Name, r.Error)
		case answer == nil:
			return nil
		}
		return json.Unmarshal(r.Body, answer)
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", c.Name, ctx.Err())
	}
}

func (c *Caller) send(body any, ch chan Reply) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return errors.New("it has ended: " + c.Said())
	}
	c.next++
	line, err := json.Marshal(Request{c.next, raw})
	if err != nil {
		return err
	}
	c.waiting[c.next] = ch
	_, err = c.in.Write(append(line, '\n'))
	return err
}
