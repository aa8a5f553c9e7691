package agent

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sealpost/sealpost/internal/disk"
)

// A change of the passphrase touches several files, and a crash between them must not leave some under the old and some under the new one.
// All are written anew into folders beside them; the renaming of one of these folders is the moment from which the new passphrase holds; then
// each file is moved to its place. Whoever next has the folder's lock ends what was begun: before that moment by throwing it away, after it
// by moving what is left. Readers take what is in the renamed folder for what is in its place (see load).
const (
	changeFolder = "passphrase-change"            // in a person's folder, from that moment on; holds files of that folder
	changeBegun  = "passphrase-change.new"        // the same, before
	changeFiles  = "passphrase-change-in-waiting" // in Identity.Folder; holds files of that folder
)

// ChangeOptions say whose passphrase is to be which.
type ChangeOptions struct {
	Mailbox string // whose, where there are several people
	// New returns the new one, once the old one was right. It must have so many characters; 0: none are demanded.
	New func(least int) (string, error)
}

// Changed says what a change of the passphrase came to.
type Changed struct {
	Identity *Identity
	Sealed   bool // the private keys in the agent's folder are under it, too; else identity.p12 and its like alone
}

// ChangePassphrase changes the passphrase under which identity.p12 is and, where the server demands one, the private keys in the agent's folder.
// The old one is asked for (Config.Passphrase) if keys are under it. Keys that were there in the clear are put under the new one, if the server by now demands
// one. It asks the server nothing. Stopped anywhere, either the old or the new one is good for everything.
func (a *Agent) ChangePassphrase(opt ChangeOptions) (*Changed, error) {
	unlock, err := a.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	id, err := a.forMailbox(opt.Mailbox)
	if err != nil {
		return nil, err
	}
	dir := a.folder(id.Person.ID)
	c := &change{agent: a, dir: dir, staged: filepath.Join(dir, changeBegun), id: id}
	if err := c.opens(); err != nil {
		return nil, err
	}
	if c.least, err = a.leastPassphrase(id); err != nil {
		return nil, err
	}
	text, err := opt.New(c.least)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, ErrPassphraseMissing.Withf("The new passphrase is empty. Nothing was changed.")
	}
	if err := longEnough(text, c.least); err != nil {
		return nil, err
	}
	c.ring = &keyring{places: a.ring.places, pass: passphrase{text: text}}
	if err := c.stage(text); err != nil {
		return nil, errors.Join(err, a.settle(dir))
	}
	if err := c.commit(); err != nil {
		return nil, err
	}
	a.ring.pass.know(text)
	if err := a.settle(dir); err != nil {
		return nil, err
	}
	if c.id, err = a.loadIdentity(dir); err != nil {
		return nil, err
	}
	return &Changed{Identity: c.id, Sealed: c.id.Passphrase > 0}, nil
}

// leastPassphrase returns how long a passphrase must be by all that the server said last, and at earlier times.
func (a *Agent) leastPassphrase(id *Identity) (int, error) {
	kept, err := a.keptPolicy(id.Person.ID)
	if err != nil || kept == nil {
		return id.Passphrase, err
	}
	least := id.Passphrase
	for _, plan := range kept.policy.Enrolments {
		if slices.Contains(id.enrolments(), plan.Name) {
			least = max(least, plan.Passphrase())
		}
	}
	return least, nil
}

// change is one change of a passphrase.
type change struct {
	agent  *Agent
	dir    string
	staged string
	id     *Identity
	least  int
	ring   *keyring // with the new passphrase
}

// opens tries whether the old passphrase is right, if a key is under it.
func (c *change) opens() error {
	for _, h := range c.id.held() {
		if h.Key.there != nil && h.Key.there.Sealed != nil {
			_, err := h.Key.PKCS8()
			return err
		}
	}
	return nil
}

// stage writes everything that is to be under the new passphrase beside what is there.
func (c *change) stage(text string) error {
	if err := makePrivateDir(c.staged); err != nil {
		return err
	}
	requests, err := c.requests()
	if err != nil {
		return err
	}
	for name, p := range requests {
		p.OwnPassword, p.Passphrase = true, max(p.Passphrase, c.least)
		if p.Passphrase > 0 {
			if err := errors.Join(c.reseal(&p.SigningKey), c.reseal(&p.EncryptionKey)); err != nil {
				return err
			}
		}
		if err := save(c.staged, name, p); err != nil {
			return err
		}
	}
	files := *c.id
	files.OwnPassword, files.Passphrase = true, c.least
	if c.least > 0 {
		for _, h := range files.held() {
			if err := c.reseal(&h.Key); err != nil {
				return err
			}
		}
	}
	if err := save(c.staged, identityFile, &files); err != nil {
		return err
	}
	if err := c.agent.after("change-state"); err != nil {
		return err
	}
	files.Folder = filepath.Join(c.id.Folder, changeFiles)
	if err := files.writeFiles(text); err != nil {
		return err
	}
	return c.agent.after("change-files")
}

// requests returns the request that was begun and those that were set aside, by the names of their files. One of these whose keys are under
// another passphrase still stays so.
func (c *change) requests() (map[string]*pending, error) {
	found := map[string]*pending{}
	aside, err := filepath.Glob(filepath.Join(c.dir, "set-aside-*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range append(aside, filepath.Join(c.dir, pendingFile)) {
		name := filepath.Base(path)
		p, err := load(c.dir, name, decodePending)
		if err != nil {
			return nil, err
		}
		if p == nil {
			continue
		}
		for _, k := range []*Key{&p.SigningKey, &p.EncryptionKey} {
			k.ring = c.agent.ring
			if k.there != nil && k.there.Sealed != nil && err == nil {
				_, err = k.PKCS8()
			}
		}
		if errors.Is(err, ErrPassphraseWrong) && name != pendingFile {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[name] = p
	}
	return found, nil
}

// reseal puts a key whose bytes are here under the new passphrase.
func (c *change) reseal(k *Key) error {
	if k.IsZero() || k.there != nil && k.there.Sealed == nil {
		return nil
	}
	pkcs8, err := k.PKCS8()
	if err != nil {
		return err
	}
	open := softwareKey(bytes.Clone(pkcs8))
	defer clear(open.pkcs8)
	sealed := open
	if err := sealed.seal(c.ring); err != nil {
		return err
	}
	*k = sealed
	return nil
}

// commit makes the new passphrase hold.
func (c *change) commit() error {
	if err := os.Rename(c.staged, filepath.Join(c.dir, changeFolder)); err != nil {
		return disk.Cannot(err, "The new passphrase cannot be taken into use in %s.", c.dir)
	}
	return errors.Join(syncDir(c.dir), c.agent.after("change-commit"))
}

// settleAll ends what was begun of changes of passphrases. The caller has the lock.
func (a *Agent) settleAll() error {
	dirs, err := a.people()
	for _, dir := range dirs {
		err = errors.Join(err, a.settle(dir))
	}
	return err
}

func (a *Agent) settle(dir string) error {
	begun, committed := filepath.Join(dir, changeBegun), filepath.Join(dir, changeFolder)
	for _, one := range []struct {
		folder string
		holds  bool
	}{{begun, false}, {committed, true}} {
		if !disk.IsThere(one.folder) {
			continue
		}
		id, err := a.loadIdentity(dir)
		if err != nil {
			return err
		}
		if one.holds {
			if err := a.takeIntoUse(dir, id); err != nil {
				return err
			}
		}
		var left error
		if id != nil {
			left = os.RemoveAll(filepath.Join(id.Folder, changeFiles))
		}
		if left = errors.Join(left, os.RemoveAll(one.folder)); left != nil { // last: it says that there is something to do
			return ErrDisk.Withf("What is left of a change of the passphrase cannot be removed from %s.", dir).Because(left)
		}
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// takeIntoUse moves the files of a change that holds to their places.
func (a *Agent) takeIntoUse(dir string, id *Identity) error {
	if err := a.move(filepath.Join(dir, changeFolder), dir); err != nil || id == nil {
		return err
	}
	if err := a.move(filepath.Join(id.Folder, changeFiles), id.Folder); err != nil {
		return err
	}
	if err := remove(filepath.Join(id.Folder, PasswordFile)); err != nil {
		return ErrDisk.Withf("%s cannot be removed.", PasswordFile).Because(err)
	}
	return nil
}

// move moves all files below a folder to the same places below another, over those that are there.
func (a *Agent) move(from, to string) error {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		if err := os.Rename(path, filepath.Join(to, name)); err != nil {
			return err
		}
		return a.after("change-move")
	})
	if err != nil {
		return disk.Cannot(err, "What is under the new passphrase cannot be moved to %s.", to)
	}
	return syncDir(to)
}
