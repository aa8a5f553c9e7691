package audit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/pgtest"
)

func readFile(t *testing.T, path string) [][]byte {
	t.Helper()
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	notes, err := proof.ReadKept(f)
	if err != nil {
		t.Fatal(err)
	}
	return notes
}

// note returns a signed checkpoint of some tree of that size.
func newNote(t testing.TB, size int64) []byte {
	t.Helper()
	s, err := proof.NewSigner(logName, newKey(1))
	if err != nil {
		t.Fatal(err)
	}
	msg, err := proof.Checkpoint{Origin: logName, Size: size}.Sign(s)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func TestFileSink(t *testing.T) {
	t.Parallel()
	s := audit.FileSink{Path: filepath.Join(t.TempDir(), "checkpoints")}
	var want [][]byte
	keep := func(size int64) {
		t.Helper()
		msg := newNote(t, size)
		if err := s.Keep(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
		want = append(want, msg)
		if diff := cmp.Diff(want, readFile(t, s.Path)); diff != "" {
			t.Error(diff)
		}
	}
	keep(1)
	keep(2)
	// A power cut in the middle of a write.
	f, err := os.OpenFile(s.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(newNote(t, 3)[:100]); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	keep(3)
	keep(4)
	// Several servers on one machine.
	var wg sync.WaitGroup
	for i := range int64(20) {
		wg.Go(func() {
			if err := s.Keep(t.Context(), newNote(t, 100+i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(readFile(t, s.Path)); n != 24 {
		t.Errorf("%d of 24 checkpoints are kept", n)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "absent", "x"), t.TempDir()} {
		if err := (audit.FileSink{Path: path}).Keep(t.Context(), newNote(t, 1)); err == nil {
			t.Errorf("kept in %s", path)
		}
	}
}

func TestHTTPSink(t *testing.T) {
	t.Parallel()
	var mode atomic.Int64
	var got []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := mode.Load(); m != 0 {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(int(m))
			return
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = append(got, r.Method+" "+r.URL.String()+" "+r.Header.Get("Content-Type")+" "+string(b))
	}))
	t.Cleanup(srv.Close)
	s := audit.HTTPSink{URL: srv.URL + "/keep?token=s3cret"}
	if err := s.Keep(t.Context(), newNote(t, 5)); err != nil {
		t.Fatal(err)
	}
	want := []string{"POST /keep?token=s3cret text/plain; charset=utf-8 " + string(newNote(t, 5))}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	quiet := func(what string, err error) {
		t.Helper()
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, status := range []int64{500, 404, 301, 307} {
		mode.Store(status)
		quiet(fmt.Sprint(status), s.Keep(t.Context(), newNote(t, 6)))
	}
	if len(got) != 1 {
		t.Errorf("a redirect was followed: %v", got)
	}
	srv.Close()
	quiet("away", s.Keep(t.Context(), newNote(t, 6)))
	quiet("no address", audit.HTTPSink{URL: "http://s3cret:s3cret@[/"}.Keep(t.Context(), newNote(t, 6)))
	if name := s.String(); strings.Contains(name, "s3cret") || !strings.Contains(name, "/keep") {
		t.Error(name)
	}
}

func TestSyslogSink(t *testing.T) {
	t.Parallel()
	msg := newNote(t, 42)
	at := func() time.Time { return noon }
	dir, err := os.MkdirTemp("", "sl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	const rfc5424 = `^<109>1 2026-03-04T11:00:00\.123456Z \S+ sealpost \d+ checkpoint - audit-checkpoint size=42 note=[A-Za-z0-9+/=]+$`
	check := func(what, pattern string, got []byte) {
		t.Helper()
		if !regexp.MustCompile(pattern).Match(got) {
			t.Errorf("%s: %q", what, got)
		}
		notes, err := proof.ReadKept(strings.NewReader("noise\n" + string(got) + "\nnoise\n"))
		if err != nil || cmp.Diff([][]byte{msg}, notes) != "" {
			t.Errorf("%s: read back %q, %v", what, notes, err)
		}
	}
	for _, c := range []struct{ network, address, as, pattern string }{
		{"udp", "127.0.0.1:0", "udp", rfc5424},
		{"unixgram", filepath.Join(dir, "log"), "", `^<109>Mar  4 12:00:00 sealpost\[\d+\]: audit-checkpoint size=42 note=[A-Za-z0-9+/=]+$`},
	} {
		conn, err := net.ListenPacket(c.network, c.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := (audit.SyslogSink{Network: c.as, Address: conn.LocalAddr().String(), Now: at}).Keep(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 8192)
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		check(c.network, c.pattern, buf[:n])
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	received := make(chan []byte, 1)
	go func() {
		conn, err := tcp.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		b, err := io.ReadAll(bufio.NewReader(conn))
		if err != nil {
			t.Error(err)
		}
		received <- b
	}()
	s := audit.SyslogSink{Network: "tcp", Address: tcp.Addr().String(), Now: at}
	if err := s.Keep(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	frame := <-received
	var n int
	if _, err := fmt.Sscanf(string(frame), "%d ", &n); err != nil || len(frame) != len(fmt.Sprint(n))+1+n {
		t.Fatalf("octet count: %q", frame)
	}
	check("tcp", rfc5424, frame[len(frame)-n:])
	tcp.Close()
	if err := s.Keep(t.Context(), msg); err == nil {
		t.Error("a collector that is away took it")
	}
	if err := (audit.SyslogSink{Network: "unixgram", Address: filepath.Join(dir, "absent")}).Keep(t.Context(), msg); err == nil {
		t.Error("a socket that is absent took it")
	}
}

// A sink that fails or hangs holds up neither the log nor the other sinks, is seen, and gets the newest checkpoint once
// it is back.
func TestSinksThatFail(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var away atomic.Bool
	away.Store(true)
	var mu sync.Mutex
	var got []string
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		got = append(got, string(b))
		mu.Unlock()
	}))
	t.Cleanup(failing.Close)
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(release) })
	file := audit.FileSink{Path: filepath.Join(t.TempDir(), "checkpoints")}
	l := newLog(t, db, audit.HTTPSink{URL: failing.URL}, audit.HTTPSink{URL: hanging.URL}, file)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { l.Run(ctx); close(stopped) }()

	const n = 20
	status := func() audit.Status {
		s, err := l.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	until := func(what string, ok func(audit.Status) bool) {
		t.Helper()
		s := status()
		for end := time.Now().Add(15 * time.Second); !ok(s) && time.Now().Before(end); s = status() {
			time.Sleep(10 * time.Millisecond)
		}
		if !ok(s) {
			t.Fatalf("%s: %+v", what, s)
		}
	}
	for i := range int64(n) {
		add(t, db, "ca", registrar, events(1)...)
		until("the file is served", func(s audit.Status) bool { return s.Sinks[2].Kept == i+1 })
	}
	until("the failures are seen", func(s audit.Status) bool {
		return s.Size == n && s.Failures == 0 && s.Sinks[0].Failures > 0 && s.Sinks[0].Err != nil && s.Sinks[0].Waiting == n && s.Sinks[1].Waiting == n
	})
	away.Store(false)
	until("the sink is back", func(s audit.Status) bool {
		return s.Sinks[0].Kept == n && s.Sinks[0].Failures == 0 && s.Sinks[0].Err == nil
	})
	newest, err := l.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	if diff := cmp.Diff([]string{string(newest)}, got); diff != "" {
		t.Error(diff)
	}
	mu.Unlock()
	if notes := readFile(t, file.Path); len(notes) != n {
		t.Errorf("the file has %d of %d checkpoints", len(notes), n)
	}
	cancel()
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Error("Run does not end")
	}
	clean(t, db, audit.VerifyConfig{Verifiers: known(t), Outside: readFile(t, file.Path)}, n)
}

// At its end a server brings the newest checkpoint out, and at its start too: a crash between commit and sink loses
// nothing. A server that only follows keeps checkpoints as well.
func TestSinksAtStartAndEnd(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db := pgtest.Open(t, d)
	add(t, db, "ca", registrar, events(3)...)
	sequence(t, newLog(t, db), 3) // and crashes
	file := audit.FileSink{Path: filepath.Join(t.TempDir(), "checkpoints")}
	follower, err := audit.New(audit.Config{DB: db, Name: logName, Known: []string{newLog(t, db).VerifierKey()},
		Sinks: []audit.Sink{file}, Interval: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { follower.Run(ctx); close(stopped) }()
	for end := time.Now().Add(10 * time.Second); len(readFile(t, file.Path)) == 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	<-stopped
	if n := len(readFile(t, file.Path)); n != 1 {
		t.Errorf("%d checkpoints are kept, want 1", n)
	}
}

// When the database cuts every session off, again and again, the log goes on as soon as it may.
func TestRunSurvivesLostSessions(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	l := newLog(t, pgtest.Open(t, d))
	db := pgtest.Open(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { l.Run(ctx); close(stopped) }()
	for range 5 {
		add(t, db, "ca", registrar, events(50)...)
		d.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`)
		for err := db.Ping(t.Context()); err != nil; err = db.Ping(t.Context()) {
			time.Sleep(time.Millisecond)
		}
	}
	for end := time.Now().Add(15 * time.Second); d.Count(t, `select count(*) from audit.leaf`) < 250 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	<-stopped
	clean(t, db, audit.VerifyConfig{Verifiers: known(t)}, 250)
}
