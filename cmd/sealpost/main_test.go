package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/sambatest"
)

const program = "sealpost"

// TestMain is the program itself when it is called by its name, and else the tests.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != program {
		moreAtOnce()
		samba := sambatest.Ends()
		code := m.Run()
		samba()
		shared.close()
		os.Exit(code)
	}
	if hooks, ok := hooksFromEnvironment(); ok && len(os.Args) > 1 && os.Args[1] == "serve" {
		os.Exit(serveWith(hooks, os.Args[2:]))
	}
	main()
}

// moreAtOnce runs twice as many tests at once as there are processors, unless told otherwise: they wait a lot for processes.
func moreAtOnce() {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	if !told {
		_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))) // a number is taken
	}
}

// By these a test lets itself into a server that it starts. The program that people get knows nothing of them.
const (
	clockVariable = "SEALPOST_TEST_CLOCK"     // a duration: how far the server's clock is ahead
	killVariable  = "SEALPOST_TEST_KILL_FILE" // a file: see killAfter
	stepsVariable = "SEALPOST_TEST_STEPS"     // a file: every step of an enrolment adds its name as a line

	collectVariable = "SEALPOST_TEST_COLLECT" // when set, SIGUSR2 makes the server collect its garbage and then say so
	collected       = "garbage collected"
)

func hooksFromEnvironment() (hooks server.Hooks, ok bool) {
	var after []func(step string)
	if ahead, err := time.ParseDuration(os.Getenv(clockVariable)); err == nil {
		ok = true
		hooks.Now = func() time.Time { return time.Now().Add(ahead) }
	}
	if file := os.Getenv(stepsVariable); file != "" {
		after = append(after, func(step string) { noteStep(file, step) })
	}
	if file := os.Getenv(killVariable); file != "" {
		after = append(after, killAfter(file))
	}
	if os.Getenv(collectVariable) != "" {
		ok = true
		collectOnSignal()
	}
	hooks.AfterStep = func(step string) {
		for _, fn := range after {
			fn(step)
		}
	}
	return hooks, ok || len(after) > 0
}

// killAfter returns a hook that kills this process after a step. The file holds the step's name and how many enrolments are
// to have taken it: those that come first wait there for the others.
func killAfter(file string) func(step string) {
	var came atomic.Int64
	return func(step string) {
		var armed string
		var count int64
		content, err := os.ReadFile(file)
		if err != nil {
			return // not armed
		}
		if n, err := fmt.Sscan(string(content), &armed, &count); n != 2 || err != nil || armed != step {
			return
		}
		if came.Add(1) == count {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		select {}
	}
}

func collectOnSignal() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR2)
	go func() {
		for range asked {
			for range 3 { // pools give things up at the second
				runtime.GC()
			}
			fmt.Fprintln(os.Stderr, collected)
		}
	}()
}

func noteStep(file, step string) {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(step + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		panic(err)
	}
}

// serveWith is `sealpost serve --config FILE` with hooks.
func serveWith(hooks server.Hooks, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	conf, err := load(args[len(args)-1])
	if err == nil {
		err = serve(ctx, conf, hooks, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// shared is what the tests share: the programs, a PostgreSQL, and the installation that others are copies of.
var shared world

type world struct {
	once    sync.Once
	err     error
	dir     string
	cluster *pgtest.Cluster
	hour    sync.Once
	made    bool // the first installation

	erasing sync.Once
	erases  error // why there is no erasing program
}

// programs builds the programs and starts PostgreSQL, once.
func (w *world) open(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL and slapd; not run with -short")
	}
	w.once.Do(func() { w.err = w.start() })
	if w.err != nil {
		t.Fatal(w.err)
	}
}

func (w *world) start() (err error) {
	if w.dir, err = child.TempDir("sp-e2e-"); err != nil {
		return err
	}
	if err := os.Chmod(w.dir, 0o711); err != nil { // PostgreSQL runs as another user when root runs the tests
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Symlink(self, filepath.Join(w.dir, program)); err != nil {
		return err
	}
	if err := e2etest.Build(w.dir, "sealpost-agent", "sealpost-kra"); err != nil {
		return err
	}
	w.cluster, err = pgtest.StartCluster(context.Background(), pgtest.ClusterConfig{Data: filepath.Join(w.dir, "pg"), Sockets: filepath.Join(w.dir, "s")})
	return err
}

func (w *world) close() {
	if w.cluster != nil {
		w.cluster.Stop()
	}
	if w.dir != "" {
		_ = os.RemoveAll(w.dir)
	}
}

// path returns the path of a program of ours, or of another file that tests share.
func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openssl runs openssl in a folder.
func openssl(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return e2etest.Tool(t, dir, "openssl", args...)
}

func write(t testing.TB, path, content string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o600))
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

// words splits a command line that holds no quotes.
func words(line string) []string { return strings.Fields(line) }
