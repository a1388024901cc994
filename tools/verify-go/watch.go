package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	"hotline111.example/verify-go/verify"
)

// watched tells the progress of a check once a second, and at the end what it took.
type watched struct {
	verify.Progress
	began time.Time
	took  time.Duration
	done  chan struct{}
	ended chan struct{}
}

func watch(log io.Writer) *watched {
	w := &watched{began: time.Now(), done: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-w.done:
				return
			case <-tick.C:
				name := "files"
				if log := w.Log.Load(); log != nil {
					name = *log
				}
				fmt.Fprintf(log, "%4.0f s  %s: %d entries, %d states so far\n",
					time.Since(w.began).Seconds(), name, w.Entries.Load(), w.States.Load())
			}
		}
	}()
	return w
}

func (w *watched) stop() {
	w.took = time.Since(w.began)
	close(w.done)
	<-w.ended
}

// sum prints the time beside that of one plain SHA-256 over as many bytes, on one core, from memory.
func (w *watched) sum(log io.Writer) {
	bytes := w.Bytes.Load()
	plain := plainSHA256(bytes)
	fmt.Fprintf(log, "time %.2f s for %d entries and %d states, %.1f MB; plain SHA-256 of as many bytes %.2f s; ratio to plain SHA-256 %.1f\n",
		w.took.Seconds(), w.Entries.Load(), w.States.Load(), float64(bytes)/1e6, plain.Seconds(), w.took.Seconds()/max(plain.Seconds(), 1e-9))
}

// plainSHA256 measures up to 64 MB and counts on from there; SHA-256 takes the same time for any bytes.
func plainSHA256(bytes int64) time.Duration {
	const most = 64 << 20
	sample := min(bytes, most)
	if sample == 0 {
		return 0
	}
	buffer := make([]byte, 1<<16)
	hash := sha256.New()
	began := time.Now()
	for left := sample; left > 0; left -= int64(len(buffer)) {
		hash.Write(buffer[:min(left, int64(len(buffer)))])
	}
	hash.Sum(nil)
	return time.Duration(float64(time.Since(began)) * float64(bytes) / float64(sample))
}
