package delivery

import (
	"context"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Delivered is what became of one person's keys.
type Delivered struct {
	Number     int // of the person in the delivery, from 0
	Name, Mail string
	Files      *Files  // nil if none of the keys is what it should be
	Faults     []error // of keys that were left out
}

// Deliver opens the delivery and writes everybody's keys: those of one person alone into dir, of several into a folder each
// below it. Several people's are written at once; report, if not nil, is told of each, by one goroutine at a time, in any
// order. It ends at the first thing that cannot be written; what was written stays.
func (o *Opening) Deliver(ctx context.Context, dir string, certs Certificates, opt FileOptions, report func(Delivered)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	names, alone, n := Names{}, len(o.Case.Deliveries[o.Delivery].Subjects) == 1, -1
	for p, err := range o.People(certs) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			g.Go(func() error { return err })
			break
		}
		n++
		d := Delivered{Number: n, Name: p.Name, Mail: p.Mail, Faults: p.Faults}
		name, to := names.For(p), dir
		if !alone {
			to = filepath.Join(dir, name)
		}
		g.Go(func() (err error) {
			if len(p.Keys) > 0 {
				if d.Files, err = p.Write(to, name, opt); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if report != nil {
				report(d)
			}
			return nil
		})
	}
	return g.Wait()
}
