package demo

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/pg"
)

// verifyLog verifies the log in a database against the checkpoints that were kept outside.
func (d *Demo) verifyLog(ctx context.Context, db *pg.DB) (audit.Report, error) {
	f, err := os.Open(d.config.Path(d.config.Audit.Files[0]))
	if err != nil {
		return audit.Report{}, err
	}
	kept, err := proof.ReadKept(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return audit.Report{}, err
	}
	known, err := proof.Verifiers(d.server.Audit.VerifierKey())
	if err != nil {
		return audit.Report{}, err
	}
	officers, err := d.server.Archive.Witnesses(ctx)
	if err != nil {
		return audit.Report{}, err
	}
	return audit.Verify(ctx, db, audit.VerifyConfig{Verifiers: known, Outside: kept, Witnesses: officers})
}

// auditWhole verifies the log, after the sequencer has caught up.
func (d *Demo) auditWhole(ctx context.Context) (string, error) {
	var report audit.Report
	err := eventually(ctx, func(ctx context.Context) (err error) {
		if report, err = d.verifyLog(ctx, d.server.DB); err != nil {
			return err
		}
		if report.Finding != nil {
			return report.Finding
		}
		if report.Waiting > 0 {
			return fmt.Errorf("%d events wait for their index", report.Waiting)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if len(report.Witnessed) == 0 {
		return "", errors.New("no officer has countersigned the log")
	}
	return fmt.Sprintf("audit verify: %d events agree with %d checkpoints in the database and %d that were kept outside or countersigned, by %d officers",
		report.Events, report.Checkpoints, report.Outside, len(report.Witnessed)), nil
}

// copyDatabase copies the database while it is in use: a copy by template needs that nobody is connected, a dump does not.
func (d *Demo) copyDatabase(ctx context.Context, name string) error {
	if _, err := d.psql(ctx, "postgres", "create database "+name); err != nil {
		return err
	}
	dump := d.sockets + "/" + name + ".dump"
	if _, err := d.program(ctx, "pg_dump", "-Fc", "-f", dump, d.cluster.URL(database)); err != nil {
		return err
	}
	_, err := d.program(ctx, "pg_restore", "-d", d.cluster.URL(name), dump)
	return err
}

// auditTampered alters one row in a copy of the database, as somebody who owns the database could, and verifies the copy.
func (d *Demo) auditTampered(ctx context.Context) (string, error) {
	const copied = "tampered"
	if err := d.copyDatabase(ctx, copied); err != nil {
		return "", err
	}
	altered, err := d.psql(ctx, copied, `update audit.event set body = replace(body, 'alice', 'malle')
		where id = (select min(id) from audit.event where kind = 'enrolment.received') returning id`)
	if err != nil || altered == "" {
		return "", fmt.Errorf("no row was altered: %w", err)
	}
	db, err := pg.Open(ctx, pg.Config{URL: d.cluster.URLAs(pg.DefaultRolePrefix+string(pg.LoginRole), copied), MaxConns: 2})
	if err != nil {
		return "", err
	}
	defer db.Close()
	report, err := d.verifyLog(ctx, db)
	if err != nil {
		return "", err
	}
	if report.Finding == nil || fmt.Sprint(report.Finding.Event) != altered {
		return "", fmt.Errorf("row %s was altered, and the verification found: %v", altered, report.Finding)
	}
	return fmt.Sprintf("audit verify on the copy: %s", report.Finding), nil
}
