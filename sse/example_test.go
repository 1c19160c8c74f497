package sse_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
)

func ExampleAppend() {
	b, err := sse.Append(nil, sse.Event{ID: "1", Type: "Add", Data: "two\nlines", Retry: 3 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s", b)
	// Output:
	// id: 1
	// event: Add
	// retry: 3000
	// data: two
	// data: lines
}

func ExampleEncoder() {
	enc := sse.NewEncoder(os.Stdout)
	err := enc.Encode(sse.Event{Data: "hello"})
	fmt.Println(err)
	err = enc.Encode(sse.Event{ID: "1\ndata: injected"})
	fmt.Println(err)
	// Output:
	// data: hello
	//
	// <nil>
	// sse: field id: character '\n' at offset 1 is not allowed
}

func ExampleDecoder() {
	stream := ": welcome\nretry: 500\n\nid: 7\nevent: added\ndata: a\ndata: b\n\ndata: c\n\nid: 8\ndata: unfinished"
	dec := sse.NewDecoder(strings.NewReader(stream), sse.OnComment(func(text string) { fmt.Println("comment:", text) }))
	for {
		e, err := dec.Decode()
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %s %q\n", e.ID, e.Name(), e.Data)
	}
	retry, _ := dec.Retry()
	fmt.Println("continue after", dec.LastEventID(), "in", retry)
	// Output:
	// comment: welcome
	// 7 added "a\nb"
	// 7 message "c"
	// continue after 7 in 500ms
}
