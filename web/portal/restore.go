package portal

// routeRestore has the pages of older keys on a new device.
func (p *Portal) routeRestore() {}
