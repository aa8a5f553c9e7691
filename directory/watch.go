package directory

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Changed is somebody whose entry has changed, as it is now.
type Changed struct {
	Look
	Joined bool // the entry is new, and so is the person to us; may be said twice after a crash
}

// rescanPause is how long a server that seems to have gone back is let be before all its entries are read again.
const rescanPause = 10 * time.Minute

// Watch finds what has changed in the directory since the last call, in whatever process that was, and tells it on: fn gets at
// most MaxStandings people whom we know, or who are new, and what it returns nil for is told on. Where no server was read
// before, or one seems to have gone back, nobody knows what changed: Watched.Lost is the time, and everybody must be looked at
// (Looks). So they must now and then in any case: an entry that was deleted, or whose branch was moved, is not found by this on
// most servers.
//
// What it costs depends on how much has changed, not on how much there is, except when a server of OpenLDAP's kind is read for
// the first time. While one process watches, it returns at once in every other. What it remembers of people who changed, or of
// everybody if a group of Roles did, is forgotten in this process.
func (d *Directory) Watch(ctx context.Context, fn func(context.Context, []Changed) error) error {
	_, err := d.DB.Hold(ctx, "directory.watch:"+d.Name, func(ctx context.Context) error {
		if err := d.beginWatch(ctx); err != nil {
			return err
		}
		err := d.watch(ctx, fn)
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		return errors.Join(err, d.noteLook(ctx, err))
	})
	return err
}

// watch looks once, and tells on what was found. All over one connection: another server may not yet know what this one says.
func (d *Directory) watch(ctx context.Context, fn func(context.Context, []Changed) error) error {
	c, err := d.watcher.dial(ctx)
	if err != nil {
		return gaveUp(ctx, err)
	}
	defer c.close()
	step := func(op func(*ldap.Conn) error) error {
		err := c.run(ctx, d.watcher.timeout, op)
		if broken(err) {
			return gaveUp(ctx, err)
		}
		return found(err)
	}
	var p position
	err = step(func(l *ldap.Conn) (err error) {
		p, err = d.position(l, c.address)
		return err
	})
	if err != nil {
		return err
	}
	if err := d.readChanges(ctx, step, p); err != nil {
		return err
	}
	began, err := d.began(ctx, p)
	if err != nil {
		return err
	}
	for {
		list, err := d.pending(ctx, MaxStandings)
		if err != nil || len(list) == 0 {
			return err
		}
		readAt := d.now()
		changes, err := d.readChanged(ctx, step, list, p.rising, began)
		if err == nil && len(changes) > 0 {
			err = fn(ctx, changes)
		}
		if err != nil {
			return err
		}
		if err := d.told(ctx, list, readAt); err != nil {
			return err
		}
	}
}

// readChanges writes down what has changed on a server since it was last read, and how far it is read then.
func (d *Directory) readChanges(ctx context.Context, step func(func(*ldap.Conn) error) error, p position) error {
	was, err := d.watermark(ctx, p)
	if err != nil {
		return err
	}
	if was.Mark == "" || p.head != "" && p.head < was.Mark {
		return d.beginAnew(ctx, step, p)
	}
	if p.head == was.Mark {
		return nil
	}
	now := d.now()
	late := overlap // less, as time passes in which nothing new has come
	if waited := now.Sub(was.Since); waited > 0 {
		late = max(0, overlap-waited)
	}
	from := p.rising.from(was.Mark, now, late)
	h := heights{now: p.rising.at(now)}
	err = d.searchChanged(step, p, p.rising.above(from), true, func(list []stamped) error {
		h.add(list)
		return d.noteChanges(ctx, p.rising, list)
	})
	if err != nil {
		return err
	}
	mark := p.head
	if mark == "" {
		if h.top < was.Mark { // what left the mark is no longer there: deleted or moved away, or the server holds older data again
			return d.wentBack(ctx, step, p, now)
		}
		switch mark = h.mark; {
		case was.Mark <= h.now:
			mark = max(mark, was.Mark)
		case mark == "": // all are ahead of our clock, which may have been set back
			mark = h.now
		}
	}
	keep, err := p.rising.mark(from)
	if err != nil {
		return err
	}
	return d.setWatermark(ctx, p, mark, keep, false)
}

// heights are marks of entries: the highest, and the highest that a clock like ours can have made. One from a clock that was set
// wrong must not hide what is changed after it. Where time counts for nothing there is no difference.
type heights struct{ now, top, mark string }

func (h *heights) add(list []stamped) {
	for _, c := range list {
		h.top = max(h.top, c.Stamp)
		if h.now == "" || c.Stamp <= h.now {
			h.mark = max(h.mark, c.Stamp)
		}
	}
}

// wentBack reads a server anew, if that was not done a moment ago.
func (d *Directory) wentBack(ctx context.Context, step func(func(*ldap.Conn) error) error, p position, now time.Time) error {
	w, err := d.Watched(ctx)
	if err != nil || w.Lost != nil && now.Sub(*w.Lost).Abs() < rescanPause {
		return err
	}
	return d.beginAnew(ctx, step, p)
}

// beginAnew reads how far a server is of which nothing is known, or nothing that can be trusted.
func (d *Directory) beginAnew(ctx context.Context, step func(func(*ldap.Conn) error) error, p position) error {
	mark, err := p.head, error(nil)
	if mark == "" {
		mark, err = d.readAll(ctx, step, p)
	}
	if err != nil {
		return err
	}
	d.persons.clear()
	d.Log.Info("directory: changes may have been missed: everybody is looked at", "server", p.server)
	return d.setWatermark(ctx, p, mark, "", true)
}

// readAll goes through all entries, and returns the mark to go on from. What other servers' marks say that it changed since they were
// read is written down; what changed shortly before counts as told.
func (d *Directory) readAll(ctx context.Context, step func(func(*ldap.Conn) error) error, p position) (mark string, err error) {
	others, err := d.highest(ctx, p.rising)
	if err != nil {
		return "", err
	}
	now := d.now()
	h := heights{now: p.rising.at(now)}
	err = d.searchChanged(step, p, "("+p.rising.attribute+"=*)", false, func(list []stamped) error {
		h.add(list)
		if others == "" {
			return ctx.Err()
		}
		from := p.rising.from(others, now, overlap)
		return d.noteChanges(ctx, p.rising, slices.DeleteFunc(list, func(c stamped) bool { return c.Stamp < from }))
	})
	if err != nil {
		return "", err
	}
	if h.mark == "" {
		h.mark = h.now
	}
	err = d.searchChanged(step, p, p.rising.above(p.rising.from(h.mark, now, overlap)), false, func(list []stamped) error {
		return d.noteTold(ctx, slices.DeleteFunc(list, func(c stamped) bool { return c.Stamp > h.top }))
	})
	return h.mark, err
}

// searchChanged goes through the entries that a filter finds, wherever they are.
func (d *Directory) searchChanged(step func(func(*ldap.Conn) error) error, p position, filter string, deleted bool, fn func([]stamped) error) error {
	request := ldap.NewSearchRequest(p.base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, []string{d.dialect.id, p.rising.attribute}, nil)
	if deleted && p.rising.deleted {
		request.Controls = append(request.Controls, ldap.NewControlMicrosoftShowDeleted())
	}
	return eachPage(step, request, func(entries []*ldap.Entry) error {
		list := make([]stamped, 0, len(entries))
		for _, e := range entries {
			d.forgetGroup(e.DN)
			entry, err1 := d.dialect.parseID(e.GetEqualFoldRawAttributeValue(d.dialect.id))
			stamp, err2 := p.rising.mark(e.GetEqualFoldAttributeValue(p.rising.attribute))
			if err1 != nil || err2 != nil { // what is not shown whole is no person of ours
				continue
			}
			list = append(list, stamped{Entry: entry, Stamp: stamp})
		}
		return fn(list)
	})
}

// forgetGroup forgets who has which role, if an entry that changed is a group that gives one.
func (d *Directory) forgetGroup(dn string) {
	if len(d.groups) == 0 {
		return
	}
	name, err := ldap.ParseDN(dn)
	if err != nil {
		return
	}
	for _, g := range d.groups {
		if g.dn.EqualFold(name) {
			d.persons.clear()
		}
	}
}

// readChanged reads changed entries as they are now, and returns those whom we know, and those who are new: whose entries were
// made after the watching began.
func (d *Directory) readChanged(ctx context.Context, step func(func(*ldap.Conn) error) error, list []stamped, r rising, began string) ([]Changed, error) {
	entries := make([]string, len(list))
	for i, c := range list {
		entries[i] = c.Entry
	}
	known, err := d.Known(ctx, entries)
	if err != nil {
		return nil, err
	}
	for _, person := range known {
		d.persons.forget(person)
	}
	read := map[string]source{}
	err = step(func(l *ldap.Conn) error { return d.readEntries(l, entries, read) })
	if err != nil {
		return nil, err
	}
	var out []Changed
	for _, entry := range entries {
		s, there := read[entry]
		person, is := known[entry]
		switch {
		case is:
			out = append(out, Changed{Look: s.look(person, there)})
		case there && !s.person.Disabled && len(s.person.Mailboxes) > 0 && r.newer(s, began):
			if person, err = d.join(ctx, s); err != nil {
				return nil, err
			}
			out = append(out, Changed{Look: s.look(person, true), Joined: true})
		}
	}
	return out, nil
}
