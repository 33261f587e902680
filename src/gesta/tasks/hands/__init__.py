"""3D hand pose estimation from depth and RGB-D images."""
