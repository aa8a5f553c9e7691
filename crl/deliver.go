package crl

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
)

// deliver brings a list to a point and reads it back. A list that has been superseded needs no delivery; its successor
// has its own.
func (p *Publisher) deliver(ctx context.Context, j jobs.DeliverCRL) error {
	point, ok := p.point(j.Issuer, j.Point)
	if !ok {
		return jobs.Cancel(fmt.Errorf("point %s of %s is no longer configured", j.Point, j.Issuer))
	}
	list, err := p.Newest(ctx, j.Issuer)
	if err != nil {
		return err
	}
	if list.Number > j.Number {
		return nil
	}
	err = p.put(ctx, point, list)
	if errors.Is(err, directory.ErrNewerCRL) { // another server's job for the successor was faster
		return nil
	}
	now := p.Now()
	recorded := p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if err != nil {
			return upsertFailure(ctx, tx, j.Issuer, j.Point, reason(err), now)
		}
		return upsertSeen(ctx, tx, j.Issuer, j.Point, list.Number, now)
	})
	return errors.Join(err, recorded)
}

func (p *Publisher) point(issuer, name string) (Point, bool) {
	for _, point := range p.Points {
		if point.Issuer == issuer && point.Name == name {
			return point, true
		}
	}
	return Point{}, false
}

// put writes the list to the directory entry and reads the entry again.
func (p *Publisher) put(ctx context.Context, point Point, list *List) error {
	i, err := p.Authority.Issuer(point.Issuer)
	if err != nil {
		return err
	}
	if err := p.Directory.PutAuthority(ctx, point.DN, i.Certificate().Raw, list.DER); err != nil {
		return err
	}
	entry, err := p.Directory.Authority(ctx, point.DN)
	if err != nil {
		return err
	}
	if len(entry.CRLs) != 1 || !bytes.Equal(entry.CRLs[0], list.DER) {
		return ErrWrong.Withf("The directory entry does not show the revocation list that was just written to it.")
	}
	return nil
}

// reason is what status shows of a failure.
func reason(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Detail
	}
	return "internal error; see the log"
}
