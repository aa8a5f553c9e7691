package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/crl"
	crlfetch "github.com/sealpost/sealpost/crl/fetch"
	"github.com/sealpost/sealpost/crl/watch"
)

func crlWatchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "watch URL...",
		Short: "Look again and again at revocation lists that anybody publishes",
		Long: `Reads the lists at the addresses (http, https, ldap, ldaps, ftp) as an outsider would, and says how each stands: what crl status
does for this installation's own distribution points, for any others, such as a partner's or those of another authority. It needs
no database and no configuration.

  ok           it is good, and the newest of those that were seen
  late         an older list than before, or than at another of the addresses
  running-out  less than --margin is left
  run-out      relying parties refuse every certificate that the list is about
  unknown      nothing there, no list, or the signature is not of --issuer-cert

With --once it looks once, and ends with exit code 1 unless all are ok. Otherwise it goes on until it is interrupted.`,
		Example: `  sealpost crl watch http://pki.example.com/crl/issuing.crl ldap://ldap.example.com/cn=CA,dc=example,dc=com?certificateRevocationList;binary --issuer-cert issuing.pem
  sealpost crl watch http://pki.example.net/ca.crl --once --json`,
		Args: cobra.MinimumNArgs(1),
	}
	issuers := c.Flags().StringArray("issuer-cert", nil, "file with the certificates of the authorities (PEM); without it signatures are not verified")
	every := c.Flags().Duration("every", 5*time.Minute, "time between two looks")
	margin := c.Flags().Duration("margin", 0, "what is left of a list that is running out; 0: a twelfth of its lifetime")
	once := c.Flags().Bool("once", false, "look once")
	asJSON := c.Flags().Bool("json", false, "print JSON: one object a line for each look at an address")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if *every < time.Second || *margin < 0 {
			return fmt.Errorf("--every must be at least 1s, and --margin not negative")
		}
		certificates, err := readIssuers(*issuers)
		if err != nil {
			return err
		}
		watcher := watch.New(watch.Config{Open: crlfetch.New(crlfetch.Config{}).Open, Issuers: certificates, Margin: *margin})
		print := printSightings
		if *asJSON {
			print = encodeSightings
		}
		tick := time.NewTicker(*every)
		defer tick.Stop()
		for {
			seen := watcher.Look(cmd.Context(), args)
			if cmd.Context().Err() != nil {
				return nil // interrupted
			}
			if err := print(cmd.OutOrStdout(), seen); err != nil {
				return err
			}
			if *once {
				return judgeSightings(seen)
			}
			select {
			case <-cmd.Context().Done():
				return nil
			case <-tick.C:
			}
		}
	}
	return c
}

// judgeSightings returns an error unless all are as they should be.
func judgeSightings(seen []watch.Sighting) error {
	bad := 0
	for _, s := range seen {
		if s.State != crl.OK || s.Failure != "" {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d lists are not as they should be", bad, len(seen))
	}
	return nil
}

func printSightings(w io.Writer, seen []watch.Sighting) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range seen {
		number, left := "-", "-"
		if s.Head != nil {
			number = watch.Number(s.Head.Number)
			if !s.Head.NextUpdate.IsZero() {
				left = inWords(s.Head.NextUpdate.Sub(s.At))
			}
		}
		fmt.Fprintf(t, "%s\t%s\tnumber %s\tleft %s\t%s\t%s\n", s.At.UTC().Format(time.RFC3339), s.State, number, left, s.Address, s.Failure)
	}
	return t.Flush()
}

// encodedSighting is what --json prints.
type encodedSighting struct {
	Address string     `json:"address"`
	At      time.Time  `json:"at"`
	State   crl.State  `json:"state"`
	Failure string     `json:"failure,omitempty"`
	List    *shownList `json:"list,omitempty"`
}

func encodeSightings(w io.Writer, seen []watch.Sighting) error {
	e := json.NewEncoder(w)
	for _, s := range seen {
		out := encodedSighting{Address: s.Address, At: s.At.UTC(), State: s.State, Failure: s.Failure}
		if s.Head != nil {
			var err error
			if out.List, err = shown(s.Head); err != nil {
				out.State, out.Failure = crl.Unknown, "What the list is about cannot be read."
			}
		}
		if err := e.Encode(out); err != nil {
			return err
		}
	}
	return nil
}
