package kra

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of the server's audit log, as an officer's tool sees it. Whoever gets one signs nothing.
var (
	ErrLogUnknown   = fault.New(fault.Denied, "kra-log-unknown", "This home does not know the audit log's key yet. Get it from the authority's operator, by another way than this server or folder, and give it once: sealpost-kra log trust KEY")
	ErrLogKey       = fault.New(fault.Denied, "kra-log-key", "The audit log has another key than this home knows.")
	ErrLogMissing   = fault.New(fault.Denied, "kra-log-missing", "It is not shown that the case is in the audit log.")
	ErrLogRewritten = fault.New(fault.Denied, "kra-log-rewritten", "The audit log was rewritten.")
	ErrLogShortened = fault.New(fault.Denied, "kra-log-shortened", "The audit log was set back.")
	ErrLogSplit     = fault.New(fault.Denied, "kra-log-split", "The audit log shows different contents to different officers.")
	ErrLogCase      = fault.New(fault.Denied, "kra-log-case", "The audit log does not have this case.")
	ErrLogState     = fault.New(fault.Denied, "kra-log-state", "What this home keeps of the audit log was damaged.")
)

// alarm is what an officer does who sees that the log is not whole.
const alarm = "Nothing was signed. Tell the other officers and an auditor, not only whoever runs the server; keep your home and what you were given as they are."

const (
	logFile    = "log.txt"
	maxLogFile = proof.MaxNote + 1<<10
	maxLogKey  = 512 // bytes of a verifier key
)

// Log is what a home keeps of the audit log: its key, and the last checkpoint that was verified here, which the officer
// may have countersigned. As a file it is a line with the key and, after an empty line, the checkpoint.
type Log struct {
	proof.Checkpoint        // of Note; zero if there is none yet
	Key              string // a verifier key: see proof.VerifierKey
	Note             []byte
	known            proof.Known
}

// ParseLog parses the file. The checkpoint must be signed by the key.
func ParseLog(text []byte) (*Log, error) {
	head, msg, more := bytes.Cut(text, []byte("\n\n"))
	line, ok := strings.CutPrefix(strings.TrimSuffix(string(head), "\n"), "key ")
	if !ok || strings.Contains(line, "\n") {
		return nil, ErrLogState
	}
	l, err := newLog(line)
	if err != nil {
		return nil, ErrLogState.Because(err)
	}
	if !more {
		return l, nil
	}
	l.Note = bytes.Clone(msg)
	if l.Checkpoint, err = proof.Open(l.Note, l.known); err != nil {
		return nil, ErrLogState.Because(err)
	}
	return l, nil
}

func newLog(key string) (*Log, error) {
	if len(key) > maxLogKey {
		return nil, proof.ErrMalformed.Withf("This is no key of an audit log.")
	}
	v, err := proof.Verifiers(key)
	return &Log{Key: key, known: v}, err
}

func (l *Log) encode() []byte {
	out := "key " + l.Key + "\n"
	if l.Note != nil {
		out += "\n" + string(l.Note)
	}
	return []byte(out)
}

// KeyHash returns what two people compare of the audit log's key, in words.
func KeyHash(key string) record.Hash { return record.Hash(sha([]byte(key))) }

// Log returns what this home keeps of the audit log; ErrLogUnknown if nothing.
func (o *Officer) Log() (*Log, error) {
	b, err := o.home.read(logFile, maxLogFile)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, ErrLogUnknown
	}
	l, err := ParseLog(b)
	if err != nil {
		return nil, ErrLogState.Withf("%s was damaged: what this officer saw of the audit log is not known any more. Bring it back from the home's backup, or begin anew with sealpost-kra log forget.",
			o.home.path(logFile)).Because(err)
	}
	return l, nil
}

// TrustLog remembers the audit log's key, which the officer has from a place that they trust. Another key than the one that
// is remembered is refused.
func (o *Officer) TrustLog(key string) error {
	fresh, err := newLog(key)
	if err != nil {
		return err
	}
	return o.home.locked(func() error {
		before, err := o.Log()
		switch {
		case err == nil && before.Key == key:
			return nil
		case err == nil:
			return ErrLogKey.Withf("This home knows another key of the audit log: %s. The log's key stays. If all officers and the auditor have agreed that it was replaced, "+
				"put what is known aside with sealpost-kra log forget.", before.Key)
		case !errors.Is(err, ErrLogUnknown):
			return err
		}
		return o.home.write(logFile, fresh.encode())
	})
}

// ForgetLog puts aside what the home knows of the audit log and returns where it is kept, as evidence: after the officers
// have agreed that the log begins anew, because a backup was restored or its key replaced.
func (o *Officer) ForgetLog() (aside string, err error) {
	err = o.home.locked(func() error {
		b, err := o.home.read(logFile, maxLogFile)
		if err != nil {
			return err
		}
		if b == nil {
			return ErrLogUnknown
		}
		name := "log-until-" + o.now().UTC().Format("20060102T150405Z") + ".txt"
		if err := o.home.write(name, b); err != nil {
			return err
		}
		aside = o.home.path(name)
		if err := os.Remove(o.home.path(logFile)); err != nil {
			return disk.ErrDisk.Withf("%s cannot be removed.", o.home.path(logFile)).Because(err)
		}
		return nil
	})
	return aside, err
}

// keepLog remembers what was verified to continue what is remembered.
func (o *Officer) keepLog(l *Log, seen *Seen) error {
	if l.Note != nil && seen.Size <= l.Size {
		return nil
	}
	l.Checkpoint, l.Note = seen.Checkpoint, seen.Note
	return o.home.write(logFile, l.encode())
}

// countersign signs the checkpoint that is remembered, unless this officer has signed it already.
func (o *Officer) countersign(l *Log) error {
	w, err := proof.NewWitness("", o.keys.signing.Public())
	if err != nil {
		return err
	}
	c, err := proof.OpenCountersigned(l.Note, l.known, []*proof.Witness{w})
	if err != nil || len(c.By) == 1 {
		return err
	}
	if l.Note, err = proof.Countersign(l.Note, l.known, o.keys.signing); err != nil {
		return err
	}
	return o.home.write(logFile, l.encode())
}

// witnesses are the officers of rosters, who countersign.
func witnesses(rosters ...*record.Roster) []*proof.Witness {
	var out []*proof.Witness
	for _, r := range rosters {
		for _, a := range r.Plan.Agents {
			w, err := proof.NewWitness(a.Name, a.Signing.PublicKey)
			if err != nil || slices.ContainsFunc(out, func(o *proof.Witness) bool { return o.Name() == w.Name() }) {
				continue // a key of a kind that does not countersign, or one of an earlier roster
			}
			out = append(out, w)
		}
	}
	return out
}

// events writes a number of events.
func events(n int64) string {
	if n == 1 {
		return "1 event"
	}
	return fmt.Sprintf("%d events", n)
}
