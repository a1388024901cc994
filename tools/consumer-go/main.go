// Consumer reads a topic of the hotline from its first position and prints one JSON line a fact: an example for whoever wants to.
//
// Two rules make it right. Next or nothing: act on exactly the position behind the last one. Sealed parts are not yours: pass on the
// names of what is sealed, never the content. All else here is Kafka. See docs/how-to-read-a-topic.md.
//
// Exit codes: 0 read to the end, or told to stop; 1 with -until-end: something is told behind a gap; 2 wrong call; 3 the topic could
// not be read, or the output or the position file could not be written.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"hotline111.example/consumer/follow"
)

const patience = 15 * time.Second // for the first answer of a broker; later outages are waited out by the client

// reader is a consumer at work. It belongs to one topic, one place and one output.
type reader struct {
	topic string
	known follow.Known
	place follow.Place
	saved string // the position file; "" to keep none
	out   *os.File
	lines *bufio.Writer

	resumed bool  // the next record must be the one that we left at
	waiting int64 // the position that is missing; 0 for none

	read, repeats, strangers, marked int64
}

func main() {
	os.Exit(run())
}

func run() int {
	brokers := flag.String("brokers", "", "host:port[,host:port…]")
	topic := flag.String("topic", "", "as hotline.cases.events.v1")
	position := flag.String("position-file", "", "where to keep the position; without it, begin at 1 each time")
	output := flag.String("out", "", "file for the facts, each exactly once also after a crash; without it, standard output")
	contracts := flag.String("contracts", "", "a release of the contracts, as contracts/released/0.1.0: mark what is newer")
	untilEnd := flag.Bool("until-end", false, "stop at the end that the topic has now, and count")
	flag.Parse()
	if *brokers == "" || *topic == "" || flag.NArg() > 0 {
		flag.Usage()
		return 2
	}
	r := &reader{topic: *topic, saved: *position}
	if err := r.open(*contracts, *output); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := r.follow(ctx, strings.Split(*brokers, ","), *untilEnd)
	err = errors.Join(err, r.out.Close())
	fmt.Fprintf(os.Stderr, "read %d, up to position %d; repeats %d, strangers %d, marked %d\n",
		r.read, r.place.Position, r.repeats, r.strangers, r.marked)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 3
	case *untilEnd && r.waiting > 0:
		fmt.Fprintf(os.Stderr, "still waiting for position %d\n", r.waiting)
		return 1
	}
	return 0
}

func (r *reader) open(contracts, output string) (err error) {
	r.out = os.Stdout
	if contracts != "" {
		if r.known, err = follow.Learn(contracts); err != nil {
			return err
		}
	}
	if r.saved != "" {
		if r.place, err = follow.Load(r.saved); err != nil {
			return err
		}
	}
	if output != "" {
		if r.out, err = follow.Output(output, r.place); err != nil {
			return err
		}
	}
	r.lines = bufio.NewWriter(r.out)
	return nil
}

// follow reads until it is told to stop, or to the end that the topic had when it began.
func (r *reader) follow(ctx context.Context, brokers []string, untilEnd bool) error {
	start, end, err := ends(ctx, brokers, r.topic)
	if err != nil {
		return err
	}
	offset := start
	if r.resumed = r.place.Position > 0 && start <= r.place.Offset && r.place.Offset < end; r.resumed {
		offset = r.place.Offset
	}
	// A log is one partition. No consumer group: our place is our own, and what a group commits is an offset, which is only a hint.
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: {0: kgo.NewOffset().At(offset)}}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // where a topic is emptied while we read, its relay fills it again
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for !untilEnd || offset < end {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		for _, failed := range fetches.Errors() {
			if lost := (*kgo.ErrDataLoss)(nil); !errors.As(failed.Err, &lost) { // the client goes on; positions say whether we may
				return fmt.Errorf("topic %s: %w", r.topic, failed.Err)
			}
		}
		for records := fetches.RecordIter(); !records.Done(); {
			record := records.Next()
			offset = record.Offset + 1
			anew, err := r.take(record)
			if err != nil {
				return err
			}
			if anew {
				offset = start
				client.SetOffsets(map[string]map[int32]kgo.EpochOffset{r.topic: {0: {Epoch: -1, Offset: start}}})
				break
			}
		}
		if err := r.keep(); err != nil {
			return err
		}
	}
	return nil
}

// ends are the offsets of the first record and behind the last one.
func ends(ctx context.Context, brokers []string, topic string) (start, end int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	starts, errStart := admin.ListStartOffsets(ctx, topic)
	ends, errEnd := admin.ListEndOffsets(ctx, topic)
	if err := errors.Join(errStart, errEnd, starts.Error(), ends.Error()); err != nil {
		return 0, 0, fmt.Errorf("topic %s: %w", topic, err)
	}
	first, _ := starts.Lookup(topic, 0)
	last, _ := ends.Lookup(topic, 0)
	return first.Offset, last.Offset, nil
}

// take acts on a record if it is its turn. anew: this is not the topic that we left, look from its beginning.
func (r *reader) take(record *kgo.Record) (anew bool, err error) {
	headers := map[string]string{}
	for _, header := range record.Headers {
		headers[header.Key] = string(header.Value)
	}
	fact, err := follow.Read(headers, record.Value, r.known)
	if r.resumed { // the first record again: our position must stand where we left it
		r.resumed = false
		return fact.Position != r.place.Position, nil
	}
	if errors.Is(err, follow.ErrStranger) {
		r.strangers++ // named by its offset alone: what strangers write does not belong on a screen
		fmt.Fprintf(os.Stderr, "offset %d: %v, passed over\n", record.Offset, err)
		return false, nil
	}
	switch follow.TurnOf(fact.Position, r.place.Position) {
	case follow.Repeat:
		r.repeats++
	case follow.Gap:
		if expected := r.place.Position + 1; r.waiting != expected {
			r.waiting = expected
			fmt.Fprintf(os.Stderr, "offset %d: a gap, waiting for position %d, got %d\n", record.Offset, expected, fact.Position)
		}
	case follow.Next:
		return false, r.act(fact, record.Offset)
	}
	return false, nil
}

func (r *reader) act(fact follow.Fact, offset int64) error {
	line, err := json.Marshal(fact)
	if err != nil {
		return err
	}
	n, err := r.lines.Write(append(line, '\n'))
	r.place = follow.Place{Position: fact.Position, Offset: offset, Written: r.place.Written + int64(n)}
	r.waiting = 0
	r.read++
	if fact.Mark != "" {
		r.marked++
	}
	return err
}

// keep makes what was read last: first the lines, then the place that counts them. A reader that dies in between reads them again.
func (r *reader) keep() error {
	if err := r.lines.Flush(); err != nil || r.saved == "" {
		return err
	}
	if r.out != os.Stdout {
		if err := r.out.Sync(); err != nil {
			return err
		}
	}
	return follow.Save(r.saved, r.place)
}
