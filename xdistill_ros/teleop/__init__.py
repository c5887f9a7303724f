"""A person's hand moves the arm: the page and its server, the clutch, the mapping, the gates. Imports no ROS.

A headset's controller, a mouse, a keyboard and a gamepad all become the same samples of one hand. `wire` reads them,
`gates` judges them, `helm` holds the clutch and asks `mapping` where the TCP should be, `console`
puts these together, and `server` brings them to the browser, as `web/` serves any page. What moves the arm is the
bridge's, and its envelope's; nothing here is relied on for safety.
"""
