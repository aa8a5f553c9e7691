package agent

import (
	"path/filepath"
	"slices"
)

// leftFile lists the keys that are, or may be, in a token: each from before it is made until it is removed. It is how a key
// is found that was made for a request that was never kept, or whose place a newer one has taken.
const leftFile = "places.json"

type leftKeys struct {
	Version int    `json:"version"`
	Keys    []left `json:"keys"`
}

// left is a key that stays where it is until it is removed.
type left struct {
	Place  string `json:"place"`
	Name   string `json:"name"`
	Object []byte `json:"object"`
}

func decodeLeft(data []byte) (*leftKeys, error) {
	l := &leftKeys{}
	if err := decodeState(data, l); err != nil {
		return nil, err
	}
	if l.Version != stateVersion {
		return nil, versionFault(l.Version)
	}
	return l, nil
}

// noteLeft writes down that a key is about to be made.
func (a *Agent) noteLeft(dir string, k left) error {
	l, err := load(dir, leftFile, decodeLeft)
	if err != nil {
		return err
	}
	if l == nil {
		l = &leftKeys{Version: stateVersion}
	}
	l.Keys = append(l.Keys, k)
	return save(dir, leftFile, l)
}

// tidy removes keys from tokens that nothing here uses any more: neither the identity, nor the request that was begun, nor,
// unless done, one that was set aside. That it fails is no failure of what was done: the next run tries again.
func (a *Agent) tidy(dir string, done bool) {
	if err := a.tryTidy(dir, done); err != nil {
		a.cfg.Log.Warn("keys not removed from where they are not used any more", "error", err)
		a.cfg.Progress("tidy", "note: a key that is not used any more could not be removed; the next run tries again: "+detail(err))
	}
}

func (a *Agent) tryTidy(dir string, done bool) error {
	l, err := load(dir, leftFile, decodeLeft)
	if err != nil || l == nil {
		return err
	}
	used, err := a.used(dir, !done)
	if err != nil {
		return err
	}
	for _, k := range slices.Clone(l.Keys) {
		if slices.Contains(used, k.Name) {
			continue
		}
		p := a.ring.place(k.Place)
		if p == nil {
			return ErrKeyPlace.Withf("The agent was told of no %s. %s", k.Place, howTo(k.Place))
		}
		if err := p.Remove(k.Name, k.Object); err != nil {
			return err
		}
		l.Keys = slices.DeleteFunc(l.Keys, func(o left) bool { return o.Name == k.Name })
		if err := save(dir, leftFile, l); err != nil {
			return err
		}
		a.cfg.Progress("tidy", "removed a key that is not used any more from the "+k.Place)
	}
	return nil
}

// used returns the names of the keys elsewhere that a person's files speak of.
func (a *Agent) used(dir string, asideToo bool) (names []string, err error) {
	note := func(k Key) {
		if k.there != nil && k.there.Name != "" {
			names = append(names, k.there.Name)
		}
	}
	id, err := a.loadIdentity(dir)
	if err != nil {
		return nil, err
	}
	if id != nil {
		for _, h := range id.held() {
			note(h.Key)
		}
	}
	requests := []string{pendingFile}
	if asideToo {
		aside, err := filepath.Glob(filepath.Join(dir, "set-aside-*.json"))
		if err != nil {
			return nil, err
		}
		for _, path := range aside {
			requests = append(requests, filepath.Base(path))
		}
	}
	for _, name := range requests {
		p, err := load(dir, name, decodePending)
		if err != nil {
			return nil, err
		}
		if p != nil {
			note(p.SigningKey)
		}
	}
	return names, nil
}
