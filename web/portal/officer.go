package portal

// routeOfficer has the pages of recovery cases and the roster.
func (p *Portal) routeOfficer() {}
