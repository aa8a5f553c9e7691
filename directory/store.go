package directory

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pg"
)

// role is the room's database role.
const role pg.Role = "directory"

// identify returns the id of the person whose entry it is, minting one when the entry is new.
func (d *Directory) identify(ctx context.Context, s source) (uuid.UUID, error) {
	if id, ok := d.identities.person(s.id); ok {
		return id, nil
	}
	var id uuid.UUID
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		id, err = selectPerson(ctx, tx, d.Name, s.id)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		id, err = d.mint(ctx, tx, s, false)
		return err
	})
	if err != nil {
		return uuid.Nil, err
	}
	d.identities.add(id, s.id)
	return id, nil
}

// join is identify for somebody who is new: the audit log says that too.
func (d *Directory) join(ctx context.Context, s source) (id uuid.UUID, err error) {
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		id, err = d.mint(ctx, tx, s, true)
		return err
	})
	if err == nil {
		d.identities.add(id, s.id)
	}
	return id, err
}

// mint gives an entry its id, or returns the one that another transaction gave it meanwhile. Which entry an id stands
// for is recorded in the audit log, since everything there speaks of ids.
func (d *Directory) mint(ctx context.Context, tx pgx.Tx, s source, joined bool) (uuid.UUID, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return uuid.Nil, err
	}
	now := d.Now()
	added, err := insertPerson(ctx, tx, id, d.Name, s, now)
	if err != nil {
		return uuid.Nil, err
	}
	if !added {
		return selectPerson(ctx, tx, d.Name, s.id)
	}
	recorded := audit.Event{Kind: "person.recorded", Subject: "person:" + id.String(),
		Person: id, Data: map[string]string{"directory": d.Name, "entry": s.id, "login": s.person.Login, "name": s.person.Name}}
	events := []audit.Event{recorded}
	if joined {
		recorded.Kind = "person.joined"
		events = append(events, recorded)
	}
	for _, e := range events {
		if _, err := audit.Append(ctx, tx, now, audit.System("directory"), e); err != nil {
			return id, err
		}
	}
	return id, nil
}

// sourceOf returns the directory's own id of a person's entry. Ids of another directory's people are unknown here.
func (d *Directory) sourceOf(ctx context.Context, id uuid.UUID) (string, error) {
	if s, ok := d.identities.source(id); ok {
		return s, nil
	}
	var source string
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		source, err = selectSource(ctx, tx, d.Name, id)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", ErrUnknownPerson
	}
	if err != nil {
		return "", err
	}
	d.identities.add(id, source)
	return source, nil
}

func selectPerson(ctx context.Context, tx pgx.Tx, target, source string) (id uuid.UUID, err error) {
	err = tx.QueryRow(ctx, `select id from directory.person where target = $1 and source_id = $2`, target, source).Scan(&id)
	return id, err
}

// selectPeople returns the ids of those of a directory's entries that have one.
func selectPeople(ctx context.Context, tx pgx.Tx, target string, sources []string) (map[string]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `select source_id, id from directory.person where target = $1 and source_id = any($2)`, target, sources)
	if err != nil {
		return nil, err
	}
	out := map[string]uuid.UUID{}
	var source string
	var id uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&source, &id}, func() error { out[source] = id; return nil })
	return out, err
}

func selectSource(ctx context.Context, tx pgx.Tx, target string, id uuid.UUID) (source string, err error) {
	err = tx.QueryRow(ctx, `select source_id from directory.person where target = $1 and id = $2`, target, id).Scan(&source)
	return source, err
}

// insertPerson reports whether it added the row; it waits for another transaction that adds the same entry.
func insertPerson(ctx context.Context, tx pgx.Tx, id uuid.UUID, target string, s source, at time.Time) (bool, error) {
	tag, err := tx.Exec(ctx, `
		insert into directory.person (id, target, source_id, login, name, first_seen) values ($1, $2, $3, $4, $5, $6)
		on conflict on constraint person_source do nothing`, id, target, s.id, s.person.Login, s.person.Name, at)
	return tag.RowsAffected() == 1, err
}
