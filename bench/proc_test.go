package bench

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cpu returns the CPU time that a process has used.
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	// The name, in parentheses, may contain anything.
	f := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+2:]))
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	return time.Duration(user+system) * tick
}

// writes returns the number of write calls of a process.
func writes(b *testing.B, pid int) int64 {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		b.Fatal(err)
	}
	m := regexp.MustCompile(`syscw: (\d+)`).FindSubmatch(raw)
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n
}

// streamReads returns how many commands that read streams Redis has executed.
func streamReads(b *testing.B, c *resp) (n int64) {
	b.Helper()
	stats := string(c.do(b, "INFO", "commandstats"))
	for _, m := range regexp.MustCompile(`cmdstat_(xread|xrange|xrevrange|xinfo\|stream):calls=(\d+)`).FindAllStringSubmatch(stats, -1) {
		calls, _ := strconv.ParseInt(m[2], 10, 64)
		n += calls
	}
	return n
}

func percentile(d []time.Duration, p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(int(float64(len(d))*p), len(d)-1)]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
