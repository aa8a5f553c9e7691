//go:build !windows

package store

func openWindowsStore() (windowsStore, error) {
	return nil, ErrNotHere.Withf("There is a Windows certificate store on Windows alone.")
}
