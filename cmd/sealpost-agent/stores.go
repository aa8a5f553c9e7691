package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/agent/store"
	"github.com/sealpost/sealpost/api"
)

// storeFlags are the options about key stores.
type storeFlags struct {
	nss         []string
	nssPassword string
	thunderbird bool
	firefox     bool
	gpgsm       bool
	trust       bool
	gpgsmHome   string
	keychain    bool
	windows     bool
	auto        autoStores
}

// autoStores is the value of --stores.
type autoStores bool

func (a *autoStores) String() string {
	if *a {
		return "auto"
	}
	return ""
}

func (a *autoStores) Type() string { return "auto" }

func (a *autoStores) Set(value string) error {
	if value != "auto" {
		return errors.New("it can only be auto; name stores each by its own option")
	}
	*a = true
	return nil
}

func (o *storeFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.Var(&o.auto, "stores", "auto: fill whatever mail programs' key stores are found, now and later (remembered)")
	f.BoolVar(&o.thunderbird, "thunderbird", false, "find Thunderbird's profiles with your addresses, and have their accounts use the certificates (remembered)")
	f.BoolVar(&o.firefox, "firefox", false, "also import into Firefox's profiles (remembered)")
	f.StringArrayVar(&o.nss, "nss", nil, "also import into this NSS database: a profile, or ~/.pki/nssdb; may be repeated (remembered)")
	f.StringVar(&o.nssPassword, "nss-password-file", "", "file with the own password of those databases (Thunderbird: Primary Password)")
	f.BoolVar(&o.gpgsm, "gpgsm", false, "also import into gpgsm (remembered)")
	f.StringVar(&o.gpgsmHome, "gpgsm-home", "", "gpgsm's folder, if not the usual one")
	f.BoolVar(&o.keychain, "keychain", false, "also import into the Keychain, on macOS (remembered; never tried there)")
	f.BoolVar(&o.windows, "windows-store", false, "also import into Windows' certificate store (remembered; never tried there)")
	f.BoolVar(&o.trust, "gpgsm-trust", false, "enter the root certificates into gpgsm's trustlist.txt")
}

// stores returns what the options name.
func (o *storeFlags) stores() (s agent.Stores) {
	for _, dir := range o.nss {
		s.NSS = append(s.NSS, store.NSS{Dir: dir, PasswordFile: o.nssPassword})
	}
	if o.thunderbird || bool(o.auto) && o.nssPassword != "" {
		s.Thunderbird = &agent.Profiles{PasswordFile: o.nssPassword}
	}
	if o.firefox {
		s.Firefox = &agent.Profiles{PasswordFile: o.nssPassword}
	}
	if o.gpgsm || o.gpgsmHome != "" || o.trust {
		s.GPGSM = &store.GPGSM{Home: o.gpgsmHome, TrustRoots: o.trust}
	}
	if o.keychain {
		s.Keychain = &store.Keychain{}
	}
	if o.windows {
		s.Windows = &store.Windows{}
	}
	s.Auto = bool(o.auto)
	return s
}

type filledJSON struct {
	Store string     `json:"store"`
	Place string     `json:"place,omitempty"` // in status, the folder's name alone
	OK    bool       `json:"ok"`
	Code  string     `json:"code,omitempty"`  // why not
	Again bool       `json:"again,omitempty"` // a later filling has something left to do: its program is to be restarted first
	Notes []string   `json:"notes,omitempty"`
	At    *time.Time `json:"at,omitempty"` // in status, when it was

	nowhere bool // there is none yet
}

func viewFilled(filled []agent.Filled) []filledJSON {
	out := []filledJSON{}
	for _, i := range filled {
		out = append(out, filledJSON{Store: i.Store, Place: i.Place, OK: i.Err == nil, Code: i.Code, Again: i.Again, Notes: i.Notes, nowhere: i.Nowhere()})
	}
	return out
}

// viewStores is what became of filling key stores last.
func viewStores(known []api.MachineStore) (out []filledJSON) {
	for _, m := range known {
		out = append(out, filledJSON{Store: m.Kind, Place: m.Name, OK: m.Code == "", Code: m.Code, Again: m.Again, At: m.At})
	}
	return out
}

func printFilled(w io.Writer, filled []filledJSON) {
	for _, i := range filled {
		result := "keys imported"
		switch {
		case !i.OK:
			result = "FAILED (" + i.Code + ")"
		case i.nowhere:
			result = "nothing to fill yet"
		case i.Again:
			result = "keys imported; the rest once its program was restarted"
		}
		if i.At != nil {
			result += " (" + moment(*i.At) + ")"
		}
		if i.Place != "" {
			result += "\t" + plain(i.Place)
		}
		fmt.Fprintf(w, "  %s\t%s\n", i.Store, result)
		for _, note := range i.Notes {
			fmt.Fprintf(w, "  \tnote: %s\n", plain(note))
		}
	}
}
