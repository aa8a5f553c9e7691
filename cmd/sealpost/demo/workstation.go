package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/web"
)

// deskLogin is whose computers they are.
const deskLogin = "rita"

// later is how far ahead the clock is at which the first one renews: past the time for it, before the certificates' end.
const later = 660 * 24 * time.Hour

// desks are two computers of one person, on which nobody but the system calls the agent.
type desks struct {
	status map[string]deskStatus // by computer
}

// deskStatus is what agent/status.json says of a computer.
type deskStatus struct {
	Machine    string    `json:"machine"`
	Person     string    `json:"person"`
	Enrolled   bool      `json:"enrolled"`
	Renewed    int       `json:"renewed"`
	Restored   int       `json:"restored"`
	Pairs      int       `json:"pairs"`
	OldKeys    int       `json:"old_keys"` // that came from the archive
	Signing    string    `json:"signing_serial"`
	Encryption string    `json:"encryption_serial"`
	NotAfter   time.Time `json:"not_after"`
	Next       time.Time `json:"next_run"`
}

// nss is a computer's NSS database, as mail programs have one.
func nss(name string) string { return filepath.Join("agent", name, "nss") }

// desk is the agent there, as `sealpost-agent run` makes it: with what install remembered, and a clock.
func (d *Demo) desk(name, baseURL string, ahead time.Duration) (*agent.Agent, error) {
	c, anchors, err := d.clientConfig(deskLogin)
	if err != nil {
		return nil, err
	}
	if baseURL != "" {
		c.BaseURL = baseURL
	}
	return agent.New(agent.Config{Dir: d.sockets + "/agents/desk-" + name, Server: c, Anchors: anchors, Unattended: true,
		Now: func() time.Time { return time.Now().Add(ahead) }})
}

// runDesk has the agent run there, and notes what came of it.
func (d *Demo) runDesk(ctx context.Context, name string, a *agent.Agent) (*agent.Ran, error) {
	r, err := a.Run(ctx, agent.RunOptions{Force: true, Restore: true, Enrol: agent.EnrolOptions{Patience: patience, Folder: d.sockets + "/agents/files-" + name,
		Stores: agent.Stores{NSS: agent.Databases{{Dir: d.path(nss(name))}}}}})
	if err != nil {
		return nil, err
	}
	if len(r.Identities) != 1 {
		return nil, fmt.Errorf("%d people are enrolled there", len(r.Identities))
	}
	machine, err := a.Machine()
	if err != nil {
		return nil, err
	}
	id := r.Identities[0]
	leaf, err := id.Encryption().Leaf()
	if err != nil {
		return nil, err
	}
	if d.desks.status == nil {
		d.desks.status = map[string]deskStatus{}
	}
	d.desks.status[name] = deskStatus{Machine: machine.String(), Person: id.Person.Name, Enrolled: true, Renewed: r.Renewed, Restored: r.Restored, Pairs: len(id.Pairs),
		OldKeys: len(id.History), Signing: id.Signing().Serial, Encryption: id.Encryption().Serial, NotAfter: leaf.NotAfter, Next: r.Next}
	text, err := json.MarshalIndent(d.desks.status, "", "  ")
	if err != nil {
		return nil, err
	}
	return r, replace(d.path("agent", "status.json"), append(text, '\n'))
}

// keysInNSS demands that certutil finds so many private keys in a computer's database.
func (d *Demo) keysInNSS(ctx context.Context, name string, want int) error {
	out, err := d.program(ctx, "certutil", "-K", "-d", "sql:"+nss(name))
	if n := strings.Count(out, "\n<"); err == nil && n != want {
		err = fmt.Errorf("certutil finds %d keys, not %d", n, want)
	}
	return err
}

// workstationEnrolled has the first computer do what is due, and NSS use what came.
func (d *Demo) workstationEnrolled(ctx context.Context) (string, error) {
	if err := os.MkdirAll(d.path("agent"), 0o755); err != nil {
		return "", err
	}
	a, err := d.desk("first", "", 0)
	if err != nil {
		return "", err
	}
	r, err := d.runDesk(ctx, "first", a)
	if err != nil {
		return "", err
	}
	if err := d.keysInNSS(ctx, "first", 2); err != nil || !r.Enrolled {
		return "", errors.Join(errors.New("she should be enrolled"), err)
	}
	if _, err := d.program(ctx, "cmsutil", "-E", "-d", "sql:"+nss("first"), "-r", deskLogin+"@example.test", "-i", "mail/message.txt", "-o", "agent/old.cms"); err != nil {
		return "", err
	}
	return "certutil: two keys; cmsutil encrypts a mail to her with what NSS has: agent/old.cms", d.readsOld(ctx, "first")
}

// readsOld has NSS decrypt the mail that was encrypted on the first computer.
func (d *Demo) readsOld(ctx context.Context, name string) error {
	out, err := d.program(ctx, "cmsutil", "-D", "-d", "sql:"+nss(name), "-i", "agent/old.cms")
	if err == nil && !strings.Contains(out, "At ten, in the small room.") {
		err = fmt.Errorf("cmsutil says: %s", clip(out))
	}
	return err
}

// secondWorkstationWaits has the second computer do what is due.
func (d *Demo) secondWorkstationWaits(ctx context.Context) (string, error) {
	a, err := d.desk("second", "", 0)
	if err != nil {
		return "", err
	}
	r, err := d.runDesk(ctx, "second", a)
	if err != nil {
		return "", err
	}
	if !r.Enrolled || len(r.Waiting) != 1 {
		return "", fmt.Errorf("it should wait for officers: %+v", r)
	}
	if err := d.readsOld(ctx, "second"); err == nil {
		return "", errors.New("the old mail can be read without the old key")
	}
	return "cmsutil cannot read agent/old.cms there; the agent says: " + r.Waiting[0], nil
}

// secondWorkstationRestored has two officers agree, and the computer fetch the key when it next runs.
func (d *Demo) secondWorkstationRestored(ctx context.Context) (string, error) {
	a, err := d.desk("second", "", 0)
	if err != nil {
		return "", err
	}
	begun, err := a.BegunRestores()
	if err != nil {
		return "", err
	}
	if len(begun) != 1 || len(begun[0].Cases) != 1 {
		return "", fmt.Errorf("%d restores were begun", len(begun))
	}
	for _, officer := range []int{0, 2} {
		if err := d.approve(ctx, officer, begun[0].Cases[0].ID, begun[0].Words); err != nil {
			return "", err
		}
	}
	r, err := d.runDesk(ctx, "second", a)
	if err != nil {
		return "", err
	}
	if err := d.keysInNSS(ctx, "second", 3); err != nil || r.Restored != 1 {
		return "", errors.Join(fmt.Errorf("%d keys were restored", r.Restored), err)
	}
	return "certutil: three keys; cmsutil reads agent/old.cms on the second computer", d.readsOld(ctx, "second")
}

// workstationRenewed lets 22 months pass, for this process alone: a copy of the database, a server on it, and the first computer's agent go by
// a clock that is so far ahead.
func (d *Demo) workstationRenewed(ctx context.Context) (string, error) {
	const copied = "later"
	if err := d.copyDatabase(ctx, copied); err != nil {
		return "", err
	}
	dir, _, err := d.another(copied, func(*setup.Template) {})
	if err != nil {
		return "", err
	}
	address, stop, err := d.serveLater(ctx, filepath.Join(dir, setup.ConfigFile))
	if err != nil {
		return "", err
	}
	defer stop()
	a, err := d.desk("first", address, later)
	if err != nil {
		return "", err
	}
	before := d.desks.status["first"]
	r, err := d.runDesk(ctx, "first", a)
	if err != nil {
		return "", err
	}
	now := d.desks.status["first"]
	if err := d.keysInNSS(ctx, "first", 4); err != nil || r.Renewed != 1 || now.Encryption == before.Encryption {
		return "", errors.Join(fmt.Errorf("%d were renewed", r.Renewed), err)
	}
	return fmt.Sprintf("certutil: two more keys, the newest until %s; cmsutil still reads agent/old.cms", now.NotAfter.Format(time.DateOnly)), d.readsOld(ctx, "first")
}

// serveLater serves the REST interface and nothing else, by the clock that is ahead: no job of this server's touches directory and distribution
// points, which are the present's.
func (d *Demo) serveLater(ctx context.Context, file string) (address string, stop func(), err error) {
	c, err := config.Load(file)
	if err != nil {
		return "", nil, err
	}
	if err := c.Validate(); err != nil {
		return "", nil, err
	}
	c.Listen.Public, c.Listen.Portal, c.Listen.Metrics = "", "", ""
	s, err := server.Open(ctx, c, slog.New(slog.NewJSONHandler(io.Discard, nil)), server.Hooks{Now: func() time.Time { return time.Now().Add(later) }})
	if err != nil {
		return "", nil, err
	}
	l, err := listen(s)
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Web.Run(ctx, web.Listeners{API: l.API}) }()
	return (&url.URL{Scheme: "https", Host: "localhost:" + port(c.Listen.API)}).String(), func() {
		cancel()
		<-ended
		s.Close()
	}, nil
}
