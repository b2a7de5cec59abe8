"""Codes for the codes: upper ends of brackets on the information in layers that are made of integers."""

from ib_analysis.brackets.config import BracketsConfig
from ib_analysis.brackets.entropy_code import ChannelCode
from ib_analysis.brackets.planes import CodeReader, PlaneFeed, plane_code_lengths_bits, plane_network

__all__ = ["BracketsConfig", "ChannelCode", "CodeReader", "PlaneFeed", "plane_code_lengths_bits", "plane_network"]
