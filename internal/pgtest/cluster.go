// Package pgtest runs a private PostgreSQL: one cluster per test binary, one database per test, all in parallel. The
// demo uses its Cluster too. It is imported by tests and by cmd/sealpost's demo and bench only.
package pgtest

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/child"
)

// admin owns the cluster.
const admin = "postgres"

// ClusterConfig says where a cluster lives.
type ClusterConfig struct {
	Data    string    // the data folder; made by initdb when absent
	Sockets string    // folder of the Unix socket, the only way in; a short path
	Durable bool      // false trades safety at a power cut for speed, as tests may
	Log     io.Writer // the server's log; nil discards
}

// Cluster is a running private PostgreSQL server that listens on a Unix socket alone, in a folder that only its user
// (and root) can enter.
type Cluster struct {
	process *child.Process
	sockets string
}

// StartCluster starts a server, after initdb if its data folder is new, and waits until it answers.
func StartCluster(ctx context.Context, c ClusterConfig) (*Cluster, error) {
	const bin = "/usr/lib/postgresql/*/bin"
	initdb, err := child.FindProgram("initdb", bin)
	if err != nil {
		return nil, err
	}
	server, err := child.FindProgram("postgres", bin)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{c.Data, c.Sockets} {
		if err := child.MakeDir(d); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(filepath.Join(c.Data, "PG_VERSION")); os.IsNotExist(err) {
		args := []string{"-D", c.Data, "-U", admin, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"}
		if err := child.Run(ctx, child.Config{Path: initdb, Args: args, Dir: c.Data}); err != nil {
			return nil, err
		}
	}
	args := []string{"-D", c.Data, "-k", c.Sockets, "-c", "listen_addresses=", "-c", "max_connections=400",
		"-c", "log_min_messages=fatal", "-c", "timezone=UTC", "-c", "shared_buffers=64MB"}
	if !c.Durable {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	p, err := child.Start(child.Config{Path: server, Args: args, Dir: c.Data, Log: c.Log})
	if err != nil {
		return nil, err
	}
	cl := &Cluster{process: p, sockets: c.Sockets}
	if err := cl.await(ctx); err != nil {
		cl.Stop()
		return nil, err
	}
	return cl, nil
}

func (c *Cluster) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.process.Done():
			return fmt.Errorf("postgres ended at start: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// PID returns the process id of the server that all others are children of.
func (c *Cluster) PID() int { return c.process.PID() }

// URL returns the address of a database, as the cluster's owner.
func (c *Cluster) URL(database string) string { return c.URLAs(admin, database) }

// URLAs returns the address of a database, as another role.
func (c *Cluster) URLAs(role, database string) string {
	q := url.Values{"host": {c.sockets}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: url.User(role), Path: "/" + database, RawQuery: q.Encode()}).String()
}

// Kill ends the server without its leave and waits for its end, for tests of crashes. SIGQUIT is PostgreSQL's own
// "immediate shutdown": it leaves no process and no shared memory behind, and recovers from the log at the next start.
func (c *Cluster) Kill(sig syscall.Signal) { c.process.Stop(sig) }

// Stop shuts the server down, ending sessions.
func (c *Cluster) Stop() { c.process.Stop(syscall.SIGINT) }
