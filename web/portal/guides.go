package portal

// routeGuides has the pages of how certificates get into mail programs.
func (p *Portal) routeGuides() {}
